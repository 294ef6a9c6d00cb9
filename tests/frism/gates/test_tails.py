"""Weights with the tail inside: made from V's own bits each time, and those bits back in the end."""

import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn

from frism.errors import UserError
from frism.gates import task_vectors
from frism.gates.tails import FileBackup, MemoryBackup, TailWeights

NAME = "layers.0.mlp.up_proj.weight"


def a_layer(dtype: torch.dtype = torch.float32) -> tuple[nn.Linear, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    module = nn.Linear(7, 11, dtype=dtype).requires_grad_(False)
    module.weight.copy_(torch.randn(11, 7, generator=generator))
    return module, 0.1 * torch.randn(11, 7, generator=generator)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("entries", [1, 20, 1 << 20])
def test_the_weight_depends_on_the_gate_alone(dtype, entries, monkeypatch) -> None:
    monkeypatch.setattr(task_vectors, "ENTRIES", entries)
    module, tau = a_layer(dtype)
    own = module.weight.clone()
    weights = TailWeights({NAME: module}, lambda name: tau, strength=0.5)
    for opened in (0.3, 0.9, 0.3):
        weights.merge(NAME, opened)
        wide = torch.promote_types(dtype, torch.float32)
        expected = own.to(wide).add(tau.to(wide), alpha=0.5 * opened).to(dtype)
        assert torch.equal(module.weight, expected)
    weights.restore(NAME)
    assert torch.equal(module.weight, own)
    weights.restore(NAME)
    assert torch.equal(module.weight, own)


@pytest.mark.parametrize("parked", [FileBackup, MemoryBackup])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_parked_bits_come_back_by_rows(parked, dtype) -> None:
    weight = a_layer(dtype)[0].weight
    kept = parked(weight)
    assert all(torch.equal(kept[i : i + 3], weight[i : i + 3]) for i in (0, 8, 2))


def test_a_task_vector_that_cannot_be_read_half_way_leaves_v_within_reach(monkeypatch) -> None:
    monkeypatch.setattr(task_vectors, "ENTRIES", 20)
    module, tau = a_layer()
    own = module.weight.clone()
    weights = TailWeights({NAME: module}, lambda name: tau[:5], strength=1.0)  # too few rows
    with pytest.raises(RuntimeError):
        weights.merge(NAME, 0.5)
    weights.restore(NAME)
    assert torch.equal(module.weight, own)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a full disk to try")
def test_a_full_disk_is_one_sentence_and_the_weight_is_still_v(monkeypatch) -> None:
    module, tau = a_layer()
    own = module.weight.clone()
    with open("/dev/full", "w+b", buffering=0) as full:  # noqa: PTH123 (as TemporaryFile opens it)
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full)
        with pytest.raises(UserError, match="has no room for the VLM's own weights") as error:
            TailWeights({NAME: module}, lambda name: tau, strength=1.0).merge(NAME, 0.5)
    assert tempfile.gettempdir() in str(error.value)
    assert torch.equal(module.weight, own)
