"""Divergences against scipy's relative entropy, whole and in buckets; gradients against numbers."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr, softmax
from torch import Tensor

from frism.distillation.targets import Direction, FullTarget, TopKTarget

SEEDS = st.integers(0, 2**16)
TEMPERATURES = st.sampled_from([0.5, 1.0, 3.0])
DIRECTIONS = st.sampled_from(["forward", "reverse"])


class _Head:
    """What of a receiver `Whole` asks for: here hidden states are logits."""

    device = torch.device("cpu")

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden


HEAD: Any = _Head()


def pair(seed: int, size: float = 4.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    teacher, change = torch.randn(2, 5, 17, generator=generator, dtype=torch.float64)
    return size * teacher, size * teacher + change


def expected(teacher: np.ndarray, student: np.ndarray, direction: str) -> float:
    first, second = (teacher, student) if direction == "forward" else (student, teacher)
    return float(rel_entr(first, second).sum(-1).mean())


def probabilities(logits: Tensor, temperature: float) -> np.ndarray:
    return softmax(logits.numpy() / temperature, axis=-1)


@given(SEEDS, TEMPERATURES, DIRECTIONS)
def test_the_whole_divergence_is_the_relative_entropy(seed: int, t: float, direction: Direction) -> None:
    teacher, student = pair(seed)
    found = FullTarget(teacher).divergence(HEAD, student, t, direction)
    wanted = expected(probabilities(teacher, t), probabilities(student, t), direction)
    assert found.item() == pytest.approx(wanted, rel=1e-9)


@given(SEEDS, TEMPERATURES, DIRECTIONS, st.integers(1, 16))
def test_buckets_are_the_coarser_distributions(seed: int, t: float, direction: Direction, k: int) -> None:
    teacher, student = pair(seed)
    target = TopKTarget.from_logits(teacher, k, t)
    places = teacher.argsort(-1, descending=True)[:, :k].numpy()

    def coarse(logits: Tensor) -> np.ndarray:
        p = probabilities(logits, t)
        kept = np.take_along_axis(p, places, -1)
        np.put_along_axis(p, places, 0, -1)
        return np.concatenate([kept, p.sum(-1, keepdims=True)], -1)

    found = target.divergence(HEAD, student, t, direction).item()
    assert found == pytest.approx(expected(coarse(teacher), coarse(student), direction), rel=1e-9)
    whole = FullTarget(teacher).divergence(HEAD, student, t, direction).item()
    assert found <= whole + 1e-12
    if k == teacher.shape[-1] - 1:  # one token in the rest: nothing is coarser
        assert found == pytest.approx(whole, rel=1e-9)


@settings(deadline=None)
@given(SEEDS, TEMPERATURES, DIRECTIONS, st.booleans())
def test_gradients_are_those_of_the_formula(seed: int, t: float, direction: Direction, whole: bool) -> None:
    teacher, student = pair(seed, 1.0)
    target = FullTarget(teacher) if whole else TopKTarget.from_logits(teacher, 4, t)
    student.requires_grad_()
    torch.autograd.gradcheck(lambda z: target.divergence(HEAD, z, t, direction), student)


def test_a_certain_teacher_gives_finite_numbers() -> None:
    teacher = torch.zeros(2, 9)
    teacher[:, 3] = 500.0
    for target in (FullTarget(teacher), TopKTarget.from_logits(teacher, 2, 1.0)):
        for direction in ("forward", "reverse"):
            student = torch.zeros(2, 9, requires_grad=True)
            loss = target.divergence(HEAD, student, 1.0, direction)  # type: ignore[arg-type]
            loss.backward()
            assert loss.isfinite()
            assert student.grad is not None
            assert student.grad.isfinite().all()


def test_hidden_states_are_the_distribution(triple: Any) -> None:
    from frism.compute import Compute
    from frism.distillation.receiver import Receiver

    receiver = Receiver.load(triple, Compute())
    hidden = torch.randn(3, receiver.model.config.get_text_config().hidden_size)
    wanted = torch.log_softmax(hidden @ receiver.model.lm_head.weight.T, -1)
    torch.testing.assert_close(FullTarget(hidden).log_probs(receiver), wanted)
