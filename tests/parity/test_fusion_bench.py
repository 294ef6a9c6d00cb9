"""Parity with FusionBench's functions for methods that are fitted, run unchanged in a process of their own.

What is measured of models (second moments of inputs, Fisher information) is given to both sides.
"""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from baselines import fisher, regmean
from frism.gates.training import GateTraining
from frism.method.discovery import find
from frism.method.site import Site
from tests.parity import peers

pytestmark = [pytest.mark.parity, peers.needs_fusion_bench]
SHAPE, NAME = (14, 10), "layers.0.mlp.up_proj.weight"


def run(function: str, tensors: dict[str, Tensor], folder: Path, **options: Any) -> dict[str, Tensor]:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "in.safetensors")
    job = {"function": function, "file": str(folder / "in.safetensors"), "options": options,
           "out": str(folder / "out.safetensors")}  # fmt: skip
    peers.run(peers.MERGEKIT, "run_fusion_bench.py", [job], folder, peers.AUTHORS / "fusion_bench")
    return load_file(folder / "out.safetensors")


def draw(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(SHAPE, generator=generator)
    taus = {role: base + 0.1 * torch.randn(SHAPE, generator=generator) for role in ("vlm", "lrm")}
    return {"base": base, **taus}


def fit_and_merge(name: str, tensors: dict[str, Tensor], params: dict[str, Any]) -> Tensor:
    """Fit on one matrix, and merge it."""
    models = {role: tensors[role] for role in ("base", "vlm", "lrm")}
    method = find(name)

    def sites() -> Iterator[Site]:
        yield Site.of(**models, name=NAME, layer=0, layers=1)

    fitting: Any = SimpleNamespace(sites=sites)
    assert method.fit is not None and method.fitting is not None
    fitted = method.fit(fitting, **method.fitting.build_arguments(method.validate(params)))
    site = Site.of(**models, name=NAME, layer=0, layers=1, fitted=fitted.select(NAME))
    merged = method.run_merge(site, method.validate(params))
    assert isinstance(merged, Tensor)
    return merged


def worst(ours: Tensor, theirs: Tensor, tensors: dict[str, Tensor]) -> float:
    """The largest difference, as a share of the largest entry of the update."""
    return float((ours - theirs).abs().max() / (theirs - tensors["vlm"]).abs().max())


@pytest.mark.parametrize("off_diagonal", [0.9, 1.0])
def test_regmean(off_diagonal: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, inputs = draw(0), {}
    for seed, role in enumerate(("vlm", "lrm")):
        seen = torch.randn(200, SHAPE[1], generator=torch.Generator().manual_seed(seed)) * (1 + seed)
        inputs[role] = seen.T @ seen / 200
    given = {role: {NAME: moments} for role, moments in inputs.items()}
    monkeypatch.setattr(regmean, "measure_both_inputs", lambda *_: given)
    ours = fit_and_merge("regmean", tensors, {"off_diagonal": off_diagonal})
    named = {f"inputs_{role}": moments for role, moments in inputs.items()}
    theirs = run("regmean", tensors | named, tmp_path, reduce_non_diagonal_ratio=off_diagonal)["merged"]
    found = worst(ours, theirs, tensors)
    print(f"RegMean, off the diagonal {off_diagonal}: at most {found:.1e} of the largest entry of the update")
    assert found < 1e-4


@pytest.mark.parametrize("weight", [0.5, 0.2])
def test_fisher(weight: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, informations = draw(1), {}
    for seed, role in enumerate(("vlm", "lrm")):
        drawn = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)).square() + 0.01
        informations[role] = drawn / drawn.double().mean().float()  # as ours does; theirs has other norms
    given = {role: {NAME: information} for role, information in informations.items()}
    monkeypatch.setattr(fisher, "measure_both_fishers", lambda *_: given)
    ours = fit_and_merge("fisher", tensors, {"vlm_weight": weight})
    named = {f"fisher_{role}": information for role, information in informations.items()}
    theirs = run(
        "fisher", tensors | named, tmp_path,
        weights=[weight, 1 - weight], normalize_fisher_weight=False, minimal_fisher_weight=0.0,
    )["merged"]  # fmt: skip
    found = worst(ours, theirs, tensors)
    print(f"Fisher, V's weight {weight}: at most {found:.1e} of the largest entry of the update")
    assert found < 1e-5


def test_layer_coefficients_and_the_entropy_they_are_learned_by(tmp_path: Path) -> None:
    """AdaMerging: merged layers, the entropy of the merged model's outputs, and its gradient."""
    layers = [draw(2), draw(3)]
    layers[1] = {role: tensor.T.contiguous() for role, tensor in layers[1].items()}
    coefficients = torch.tensor([0.3, 0.8])
    inputs = torch.randn(20, SHAPE[1], generator=torch.Generator().manual_seed(4))
    named = {f"vlm_{i}": layer["vlm"] for i, layer in enumerate(layers)}
    named |= {f"expert_{i}": layer["vlm"] + layer["lrm"] - layer["base"] for i, layer in enumerate(layers)}
    theirs = run("adamerging", named | {"inputs": inputs, "coefficients": coefficients}, tmp_path, eps=0.0)
    learned = coefficients.clone().requires_grad_()
    method, ours = find("ada_kl_layer"), []
    for number, layer in enumerate(layers):
        opened = learned[number].expand(3)
        site = Site.of(**layer, name="w", layer=number, layers=2, fitted={"open": opened})
        ours.append(method.merge(site, strength=1.0))
    example = SimpleNamespace(
        logits=lambda _: torch.tanh(inputs @ ours[0].T) @ ours[1].T,
        target=SimpleNamespace(divergence=lambda *_: torch.zeros(())),
    )
    how = SimpleNamespace(temperature=1.0, divergence="forward")
    trained: Any = SimpleNamespace(objective="entropy", learning=how, receiver=None)
    _, entropy = GateTraining._losses(trained, example)  # type: ignore[arg-type]
    entropy.backward()  # type: ignore[no-untyped-call]
    assert learned.grad is not None
    pairs = {"merged": [(ours[i].detach(), theirs[f"merged_{i}"]) for i in (0, 1)],
             "entropy": [(entropy.detach(), theirs["entropy"])],
             "gradient": [(learned.grad, theirs["gradient"])]}  # fmt: skip
    for what, compared in pairs.items():
        found = max(float((a - b).abs().max() / b.abs().max()) for a, b in compared)
        print(f"AdaMerging, {what}: at most {found:.1e} of the largest value")
        assert found < 1e-5
