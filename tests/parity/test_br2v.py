"""Parity with Bring Reason to Vision's released script, on a tiny LLaVA-NeXT (Llama) and Idefics2 (Mistral).

The script runs unchanged, in its own pinned environment, from a checkout. It loads everything in float16 and
subtracts there. Triples whose values are small multiples of 2^-10 make that exact: there, results must be
equal bit for bit. Random ones may differ by the script's own three roundings to float16.
"""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from baselines import _sparsify
from frism.method.discovery import find
from frism.method.site import Site
from tests.parity import br2v_cases, peers
from tests.parity.br2v_cases import (
    ALPHA,
    ALPHA2,
    DENSITY,
    FAMILIES,
    KEPT,
    PAIRS,
    RUNS,
    SCOPE,
    Folders,
    prefix_of,
    tower,
)
from tests.support import architectures

pytestmark = [pytest.mark.parity, peers.needs_br2v]

Merged = dict[str, Tensor]  # canonical name -> tensor
Found = dict[tuple[str, str, str], Merged]  # family, kind of values, run


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Per family and kind of values, a folder with a triple in float16."""
    return br2v_cases.write(tmp_path_factory.mktemp)


@pytest.fixture(scope="module")
def theirs(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What the script makes of every mode, family and kind of values, under canonical names."""
    root = tmp_path_factory.mktemp("br2v")
    jobs, outputs = [], {}
    for (family, kind), folder in folders.items():
        for name, options in RUNS[kind].items():
            out = root / str(len(jobs))
            given = {
                "model1_path": folder / "vlm",
                "model2_path": folder / "lrm",
                "basemodel_path": folder / "base",
                "output_dir": out,
                **options,
            }
            jobs.append([word for key, value in given.items() for word in (f"--{key}", str(value))])
            outputs[family, kind, name] = out / f"merged_model_{options['alpha']}.pth"
    peers.run(peers.BR2V, "run_br2v.py", jobs, root, peers.BR2V_CHECKOUT)
    found: Found = {}
    for key, path in outputs.items():
        prefix = FAMILIES[key[0]][1]
        state = torch.load(path, weights_only=True)
        found[key] = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return found


def ours(stored: dict[str, dict[str, Tensor]], method: str, **params: object) -> Merged:
    found = find(method)
    complete = found.validate(params)
    return {
        name: found.run_merge(
            Site.of(
                **{role: stored[role][name].float() for role in found.reads}, name=name,
                layer=int(name.split(".")[1]) if name.startswith("layers.") else None,
                layers=architectures.LAYERS,
            ),
            complete,
        )
        for name in stored["vlm"]
    }  # fmt: skip


every_family = pytest.mark.parametrize("family", FAMILIES)


INTERPOLATIONS = pytest.mark.parametrize(
    ("mode", "method", "options"), [("base", "interp", {}), ("layerswap", "layer_swap", {"last_kept": 0})]
)


@every_family
@INTERPOLATIONS
def test_interpolation_is_equal_where_float16_is_exact(
    family: str, mode: str, method: str, options: dict[str, int], folders: Folders, theirs: Found
) -> None:
    stored, found = tower(folders[family, "small"], family), theirs[family, "small", mode]
    merged = ours(stored, method, vlm_weight=0.75, **options)
    for name, tensor in merged.items():
        assert found[name].dtype == torch.float16
        assert torch.equal(tensor.half(), found[name]), name
    assert set(found) - set(merged) <= {"embed_tokens.weight", "lm_head.weight"}


@every_family
@INTERPOLATIONS
def test_interpolation_of_any_values_differs_by_the_roundings_of_float16(
    family: str, mode: str, method: str, options: dict[str, int], folders: Folders, theirs: Found
) -> None:
    stored, found = tower(folders[family, "random"], family), theirs[family, "random", mode]
    for name, tensor in ours(stored, method, vlm_weight=0.9, **options).items():
        v, r = (stored[role][name].float().abs() for role in ("vlm", "lrm"))
        # Each product and the sum are rounded to 11 bits; below 2^-14 the unit is fixed.
        bound = 1.01 * 2**-11 * (0.9 * v + 0.1 * r + tensor.abs()) + 3 * 2**-25
        assert ((tensor - found[name].float()).abs() <= bound).all(), name


@every_family
@pytest.mark.parametrize("mode", ["ties", "ties, most kept"])
def test_ties_is_equal_bit_for_bit(family: str, mode: str, folders: Folders, theirs: Found) -> None:
    """Its output is float32: the float16 deltas meet float32 weights."""
    stored, found = tower(folders[family, "distinct"], family), theirs[family, "distinct", mode]
    given = RUNS["distinct"][mode]
    weights = {"vlm_weight": given["alpha"], "lrm_weight": given["alpha2"]}
    merged = ours(stored, "ties", density=given["density"], trimming="exact", zero_sum="positive", **weights)
    for name, tensor in merged.items():
        assert torch.equal(tensor, found[name]), name


@every_family
@pytest.mark.parametrize(("mode", "method"), [("darelinear", "dare_linear"), ("dareties", "dare_ties")])
def test_dare_of_the_script_is_ours_without_rescaling(
    family: str, mode: str, method: str, folders: Folders, theirs: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It divides by the density and throws the quotient away: both task vectors shrink to the density.

    With the masks that it drew, our methods give its result with `rescale` off, and not with it on.
    """
    stored = tower(folders[family, "distinct"], family)
    only_v, only_r, both = (theirs[family, "distinct", f"{mode} {pair}"] for pair in PAIRS)
    masks = {name: [run[name] != base for run in (only_v, only_r)] for name, base in stored["base"].items()}
    options = {
        "dare_linear": {"drop_vlm": True, "vlm_weight": ALPHA, "strength": ALPHA2},
        "dare_ties": {"vlm_weight": ALPHA, "lrm_weight": ALPHA2, "zero_sum": "positive"},
    }[method]
    for rescale in (False, True):
        drawn = iter([mask for name in stored["vlm"] for mask in masks[name]])
        monkeypatch.setattr(
            _sparsify, "draw_mask", lambda delta, density, generator, drawn=drawn: next(drawn)
        )
        merged = ours(stored, method, density=KEPT, rescale=rescale, **options)
        same = [torch.allclose(merged[name], both[name], rtol=1e-6, atol=1e-6) for name in merged]
        assert all(same) if not rescale else not any(same)


@every_family
def test_dare_of_the_script_loses_most_of_what_v_learned(
    family: str, folders: Folders, theirs: Found
) -> None:
    """The stated difference: the density is what is left of tau_V in expectation; rescaling keeps all."""
    stored = tower(folders[family, "distinct"], family)
    found = theirs[family, "distinct", "darelinear (1.0, 0.0)"]
    left, whole = (
        torch.cat([(made[name].float() - base.float()).flatten() for name, base in stored["base"].items()])
        for made in (found, stored["vlm"])
    )
    assert abs((left @ whole / (whole @ whole)).item() - KEPT) < 0.05


@every_family
@pytest.mark.parametrize(("kind", "run"), [("small", "base"), ("small", "layerswap"), ("distinct", "ties")])
def test_the_command_writes_what_the_script_writes(
    family: str, kind: str, run: str, folders: Folders, theirs: Found, tmp_path: Path
) -> None:
    """The whole way: `frism merge` as a process, on the same folders; all else of V stays as it was."""
    found, folder = theirs[family, kind, run], folders[family, kind]
    method, params = {
        "base": ("interp", {"vlm_weight": 0.75}),
        "layerswap": ("layer_swap", {"last_kept": 0, "vlm_weight": 0.75}),
        "ties": ("ties", {"density": DENSITY, "vlm_weight": ALPHA, "lrm_weight": ALPHA2, "trimming": "exact",
                          "zero_sum": "positive"}),
    }[run]  # fmt: skip
    dtype = "float32" if run == "ties" else "float16"  # as the script writes
    options = ("--scope", "mat+bias+norm", "--dtype", dtype)
    peers.frism_merge(folder, tmp_path / "out", method, params, *options)
    prefix, before, touched = prefix_of(family, "vlm"), peers.read(folder / "vlm"), 0
    for stored, tensor in peers.read(tmp_path / "out").items():
        name = stored.removeprefix(prefix)
        if stored.startswith(prefix) and name.startswith(SCOPE):
            assert torch.equal(tensor, found[name]), stored
            touched += 1
        else:
            assert torch.equal(tensor, before[stored]), stored
    assert touched == sum(name.startswith(SCOPE) for name in found)
