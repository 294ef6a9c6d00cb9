"""Parity with mergekit 0.1.5 on text triples: every tensor, through its own command line.

mergekit runs with `dtype: float32`, that is in fp32, and casts once where a case says bfloat16. The bounds
are those of rounding: a few units in the last place of the largest term, or one rounding to bfloat16.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from baselines import _magnitude_pruning, _sparsify, slerp
from baselines._election import sum_elected
from baselines._trimming import cut
from frism.method.discovery import find
from frism.method.site import Site
from tests.parity import peers
from tests.parity.conftest import Weights
from tests.parity.mergekit_cases import CASES, CHOOSING, DENSITY, DRAWN, NATIVE, SEED, B, R, V, configuration

pytestmark = [pytest.mark.parity, peers.needs_mergekit]

Merge = Callable[..., dict[str, Tensor]]
Found = dict[tuple[str, str], dict[str, Tensor]]  # case, dtype


@pytest.fixture(scope="module")
def theirs(llm_triples: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What mergekit makes of every case, per dtype."""
    folder = tmp_path_factory.mktemp("mergekit")
    wanted = [(name, dtype) for name in CASES for dtype in llm_triples] + [(n, "float32") for n in DRAWN]
    wanted += [("task arithmetic, V whole", NATIVE)]
    jobs = []
    for number, (name, dtype) in enumerate(wanted):
        config = folder / f"{number}.yml"
        triple = llm_triples.get(dtype, llm_triples["bfloat16"])
        config.write_text(configuration((CASES | DRAWN)[name], triple, dtype))
        jobs.append(
            {
                "config": str(config),
                "out": str(folder / str(number)),
                "options": ["--quiet", "--no-copy-tokenizer", "--random-seed", str(SEED)],
            }
        )
    peers.run(peers.MERGEKIT, "run_mergekit.py", jobs, folder)
    return {key: peers.read(folder / str(number)) for number, key in enumerate(wanted)}


def size_of(weights: Weights, name: str) -> Tensor:
    """A bound on every term that enters an entry."""
    return sum((weights[role][name].float().abs() for role in (B, V, R)), torch.zeros(()))


@pytest.mark.parametrize("name", CASES)
def test_fp32_results_differ_by_rounding_alone(
    name: str, theirs: Found, weights: dict[str, Weights], merge_all: Merge
) -> None:
    case, found, stored = CASES[name], theirs[name, "float32"], weights["float32"]
    ours = merge_all(stored, case.method, **case.params)
    assert set(found) == set(ours)
    for key, tensor in ours.items():
        assert found[key].dtype == torch.float32
        bound = 8 * torch.finfo(torch.float32).eps * size_of(stored, key)
        assert ((tensor - found[key]).abs() <= bound).all(), key


def one_rounding(exact: Tensor, found: Tensor, weights: Weights, name: str) -> Tensor:
    """Where `found` is the bfloat16 below or above an fp32 value that is itself rounded."""
    return (exact - found.float()).abs() <= 2**-8 * exact.abs() + 8 * 2**-23 * size_of(weights, name)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.method not in CHOOSING])
def test_bfloat16_results_differ_by_one_rounding_at_most(
    name: str, theirs: Found, weights: dict[str, Weights], merge_all: Merge
) -> None:
    case, found, stored = CASES[name], theirs[name, "bfloat16"], weights["bfloat16"]
    equal, entries = 0, 0
    for key, ours in merge_all(stored, case.method, **case.params).items():
        assert found[key].dtype == torch.bfloat16
        assert one_rounding(ours, found[key], stored, key).all(), key
        equal += int((ours.bfloat16() == found[key]).sum())
        entries += ours.numel()
    print(f"{name}: {entries - equal} of {entries} entries differ by one rounding")
    assert equal / entries > 0.99  # a weighted mean of grid values often lies half way between two of them


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.method == "ties"])
def test_bfloat16_ties_differ_among_equal_magnitudes_alone(
    name: str, theirs: Found, weights: dict[str, Weights]
) -> None:
    """Differences of bfloat16 values lie on a grid: many are equal, and the last ones kept are a choice.

    mergekit sorts without `stable`, so its choice is arbitrary; `trimming` exact keeps the first. Every entry
    is what one of the choices gives, and all the others agree.
    """
    case, found, stored = CASES[name], theirs[name, "bfloat16"], weights["bfloat16"]
    params = find("ties").validate(case.params)
    pair = (params["vlm_weight"], params["lrm_weight"])
    chosen, entries = 0, 0
    for key, tensor in found.items():
        base = stored[B][key].float()
        kept_or_not = []
        for role in (V, R):
            tau = stored[role][key].float() - base
            exact = cut(tau, params["density"], exact=True).keep(tau)
            smallest = exact[exact != 0].abs().min()
            kept_or_not.append([tau * (tau.abs() >= smallest), tau * (tau.abs() > smallest)])
        explained, agreed = torch.zeros_like(base, dtype=torch.bool), torch.ones_like(base, dtype=torch.bool)
        for taus in itertools.product(*kept_or_not):
            total, divisor = sum_elected(taus, pair, "weighted", "positive", params["divide_by"])
            fits = one_rounding(base + params["strength"] * total / divisor, tensor, stored, key)
            explained, agreed = explained | fits, agreed & fits
        assert explained.all(), key
        chosen += int((~agreed).sum())
        entries += base.numel()
    print(f"{name}: {chosen} of {entries} entries depend on the choice among equals")
    assert chosen / entries < 0.05


def test_arithmetic_in_bfloat16_is_coarser(
    theirs: Found, weights: dict[str, Weights], merge_all: Merge
) -> None:
    """mergekit's default computes in the checkpoint's dtype and loses more than one rounding; we do not."""
    stored = weights["bfloat16"]
    wide = {role: {key: tensor.double() for key, tensor in stored[role].items()} for role in (B, V, R)}
    exact = {key: v + 0.4 * (wide[R][key] - wide[B][key]) for key, v in wide[V].items()}
    made = {
        "ours": {key: tensor.bfloat16() for key, tensor in merge_all(stored, "inject", strength=0.4).items()},
        "theirs": theirs["task arithmetic, V whole", NATIVE],
    }
    within = {
        who: sum(int(one_rounding(exact[key], tensor, stored, key).sum()) for key, tensor in result.items())
        for who, result in made.items()
    }
    entries = sum(tensor.numel() for tensor in exact.values())
    print(f"within one rounding of float64: {within} of {entries}")
    assert within["ours"] == entries
    assert within["theirs"] < 0.95 * entries


def test_slerp_cases_take_both_branches(weights: dict[str, Weights]) -> None:
    stored = weights["float32"]
    pairs = [Site.of(None, tensor, stored[R][key]) for key, tensor in stored[V].items()]
    straight = {abs(slerp.measure(lambda pair=pair: iter([pair]))) > 0.9995 for pair in pairs}
    assert straight == {True, False}


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties"])
def test_dare_with_the_masks_that_mergekit_drew(
    method: str,
    theirs: Found,
    weights: dict[str, Weights],
    merge_all: Merge,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The masks of the two runs with one model predict the run with both, entry by entry."""
    stored = weights["float32"]
    only_v, only_r, both = (
        theirs[f"{method} {pair}", "float32"] for pair in ((1.0, 0.0), (0.0, 1.0), (1.0, 0.6))
    )
    masks = {key: [run[key] != stored[B][key] for run in (only_v, only_r)] for key in stored[B]}
    drawn = iter([mask for key in stored[V] for mask in masks[key]])
    monkeypatch.setattr(_sparsify, "draw_mask", lambda delta, density, generator: next(drawn))
    options = {
        "dare_linear": {"drop_vlm": True, "strength": 0.6},
        "dare_ties": {"lrm_weight": 0.6, "election": "weighted", "zero_sum": "positive", "divide_by": "one"},
    }[method]
    ours = merge_all(stored, method, density=DENSITY, restore="l1", **options)
    for key, tensor in ours.items():
        bound = 16 * torch.finfo(torch.float32).eps * size_of(stored, key) / DENSITY
        assert ((tensor - both[key]).abs() <= bound).all(), key
    for place in (0, 1):
        entries = torch.cat([pair[place].flatten() for pair in masks.values()]).float()
        assert abs(entries.mean().item() - DENSITY) < 6 * (DENSITY * (1 - DENSITY) / len(entries)) ** 0.5


def test_della_with_the_masks_that_mergekit_drew(
    theirs: Found, weights: dict[str, Weights], merge_all: Merge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for DARE; and small entries are dropped more often than large ones, in mergekit too."""
    stored = weights["float32"]
    only_v, only_r, both = (theirs[f"della {p}", "float32"] for p in ((1.0, 0.0), (0.0, 1.0), (1.0, 0.6)))
    masks = {key: [run[key] != stored[B][key] for run in (only_v, only_r)] for key in stored[B]}
    drawn = iter([mask for key in stored[V] for mask in masks[key]])
    monkeypatch.setattr(_magnitude_pruning, "draw_mask", lambda keep, generator: next(drawn))
    options = {"election": "weighted", "zero_sum": "positive", "divide_by": "weights", "restore": "l1"}
    ours = merge_all(
        stored, "della", anchor="base", density=DENSITY, epsilon=0.2, strength=1.0, lrm_weight=0.6, **options
    )
    for key, tensor in ours.items():
        bound = 16 * torch.finfo(torch.float32).eps * size_of(stored, key) / DENSITY
        assert ((tensor - both[key]).abs() <= bound).all(), key
    for place, role in ((0, V), (1, R)):
        rows = {key: pair[place] for key, pair in masks.items() if stored[B][key].ndim == 2}
        pruning = _magnitude_pruning.Pruning(DENSITY, 0.2)
        expected = [pruning.probabilities(stored[role][key] - stored[B][key]).flatten() for key in rows]
        keep, kept = torch.cat(expected), torch.cat([mask.flatten() for mask in rows.values()]).float()
        for low in (0.2, 0.3, 0.4, 0.5):
            bin_of = (keep >= low) & (keep < low + 0.1)
            error = (keep[bin_of] * (1 - keep[bin_of])).sum().sqrt()
            assert (kept[bin_of].sum() - keep[bin_of].sum()).abs() < 6 * error


def test_dare_restores_the_same_expectation(
    theirs: Found, weights: dict[str, Weights], merge_all: Merge
) -> None:
    """The L1 norm of mergekit's thinned task vectors, and of ours with `restore` l1, is the whole one's."""
    stored, found = weights["float32"], theirs["dare_linear (0.0, 1.0)", "float32"]
    unchanged = {**stored, V: stored[B]}
    for restore, within in (("l1", 1e-4), ("mean", 0.35)):
        ours = merge_all(unchanged, "dare_linear", density=DENSITY, strength=1.0, restore=restore)
        for key in (name for name in ours if stored[B][name].numel() >= 512):
            whole, mine, other = (
                (made - stored[B][key]).abs().sum().item() for made in (stored[R][key], ours[key], found[key])
            )
            assert abs(other / whole - 1) < 1e-4
            assert abs(mine / whole - 1) < within


@pytest.mark.parametrize("name", CASES)
def test_the_command_writes_what_mergekit_writes(
    name: str, theirs: Found, weights: dict[str, Weights], llm_triples: dict[str, Path], tmp_path: Path
) -> None:
    """The whole way: `frism merge` as a process, on the same folders, every tensor of its output."""
    case, found, stored = CASES[name], theirs[name, "float32"], weights["float32"]
    everything = ("--text-receiver", "--scope", "all")
    peers.frism_merge(llm_triples["float32"], tmp_path / "out", case.method, case.params, *everything)
    written = peers.read(tmp_path / "out")
    assert set(written) == set(found)
    for key, tensor in written.items():
        bound = 8 * torch.finfo(torch.float32).eps * size_of(stored, key)
        assert tensor.dtype == torch.float32
        assert ((tensor - found[key]).abs() <= bound).all(), key
