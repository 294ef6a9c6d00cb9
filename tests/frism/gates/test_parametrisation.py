"""Gates: how many, what they open at first, which directions share one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frism.gates.parametrisation import Gates

KINDS = st.sampled_from(["sigmoid", "free"])


@given(kind=KINDS, block=st.integers(1, 9), shared=st.booleans(), k=st.integers(1, 30))
def test_every_direction_starts_half_open(kind, block, shared, k) -> None:
    gates = Gates(kind, block, shared)
    logits = gates.initial_logits(k, torch.float64, "cpu")
    assert logits.shape == (gates.count(k),)
    assert torch.equal(gates.open_fractions(logits, k), torch.full((k,), 0.5, dtype=torch.float64))


@given(kind=KINDS, block=st.integers(1, 9), k=st.integers(1, 30), seed=st.integers(0, 99))
def test_neighbours_of_a_block_share_their_gate_and_add_up_its_gradient(kind, block, k, seed) -> None:
    gates = Gates(kind, block)
    logits = torch.randn(gates.count(k), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    logits.requires_grad_()
    opened = gates.open_fractions(logits, k)
    values = logits.sigmoid() if kind == "sigmoid" else logits
    assert torch.equal(opened, torch.stack([values[i // block] for i in range(k)]))
    weights = torch.arange(1.0, k + 1, dtype=torch.float64)
    (opened * weights).sum().backward()
    slope = values * (1 - values) if kind == "sigmoid" else torch.ones_like(values)
    per_gate = torch.stack([part.sum() for part in weights.split(block)])
    torch.testing.assert_close(logits.grad, per_gate * slope.detach())


@given(kind=KINDS, k=st.integers(1, 30))
def test_a_shared_gate_is_one_number_and_sigmoids_stay_between_zero_and_one(kind, k) -> None:
    gates = Gates(kind, shared=True)
    opened = gates.open_fractions(torch.tensor([3.0]), k)
    assert opened.shape == (k,)
    assert len(set(opened.tolist())) == 1
    assert (opened[0] < 1) == (kind == "sigmoid")


@given(k=st.integers(1, 30), kept=st.sampled_from([0.0, 0.3, 0.5, 1.0]), seed=st.integers(0, 99))
def test_a_mask_is_hard_and_its_gradient_that_of_a_sigmoid(k, kept, seed) -> None:
    gates = Gates("mask", kept=kept)
    first = gates.open_fractions(gates.initial_logits(k), k)
    assert first.tolist() == [float(place < kept * k) for place in range(k)]
    logits = torch.randn(k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    logits.requires_grad_()
    opened = gates.open_fractions(logits, k)
    assert torch.equal(opened.detach(), (logits.detach() > 0).double())
    opened.sum().backward()
    soft = (logits.detach() / 10).sigmoid()
    torch.testing.assert_close(logits.grad, soft * (1 - soft) / 10)


def test_gates_of_a_layer_are_shared() -> None:
    with pytest.raises(ValueError, match="shared"):
        Gates(by_layer=True)


def test_a_block_holds_at_least_one_direction() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Gates(block=0)
