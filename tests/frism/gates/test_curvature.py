"""The estimated curvature against Fisher information known in closed form and from the whole Jacobian."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from frism.gates.curvature import estimate_curvature, measure_energy_shares, signed_log_likelihood
from frism.gates.gated_model import GatedInjection
from frism.gates.parametrisation import Gates
from frism.spectra.spectrum import Spectrum

STRENGTH, VOCABULARY, WIDTH = 0.7, 6, 5
FREE = Gates("free")


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exact(tau: Tensor, rank: int) -> Spectrum:
    u, s, vh = torch.linalg.svd(tau, full_matrices=False)
    tail = s[rank:].square().sum() if rank < len(s) else None
    return Spectrum(u[:, :rank], s[:rank], vh[:rank], tail)


def frozen(d_out: int, d_in: int, seed: int) -> nn.Linear:
    layer = nn.Linear(d_in, d_out, dtype=torch.float64).requires_grad_(False)
    layer.weight.data = draw(d_out, d_in, seed=seed)
    return layer


def softmax_layer(rank: int) -> tuple[nn.Linear, Tensor, GatedInjection]:
    """A language model of one layer: logits = W x."""
    head, tau = frozen(VOCABULARY, WIDTH, 1), 0.3 * draw(VOCABULARY, WIDTH, seed=2)
    injection = GatedInjection(
        {"w": head}, {"w": exact(tau, rank)}, STRENGTH, FREE, task_vectors=lambda name: tau
    )
    return head, tau, injection


def asking(model: Callable[[Tensor], Tensor], questions: list[Tensor]) -> list[Callable[[], Tensor]]:
    return [lambda x=x: model(x) for x in questions]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("rank", [2, WIDTH])
def test_softmax_layer_has_the_fisher_information_of_the_textbook(rank: int) -> None:
    """h = mean over tokens of q^T (diag(p) - p p^T) q with q = strength * (part of tau) x; the tail's too."""
    head, tau, injection = softmax_layer(rank)
    questions = [draw(3 + i % 3, WIDTH, seed=10 + i) for i in range(20)]
    x = torch.cat(questions)
    p = torch.softmax(head(x), -1)
    spectrum = exact(tau, rank)
    parts = [s * torch.outer(u, v) for u, s, v in zip(spectrum.u.T, spectrum.s, spectrum.vh, strict=True)]
    parts += [tau - sum(parts)] if rank < WIDTH else []
    expected = []
    for part in parts:
        q = STRENGTH * x @ part.T
        expected.append(((p * q**2).sum(-1) - (p * q).sum(-1) ** 2).mean())
    found = estimate_curvature(injection, asking(head, questions), samples=150, generator=seeded())
    assert found.tokens == len(x)
    values, errors = (torch.cat([t.flatten() for t in parts]) for parts in (found.values, found.errors))
    # 3,000 draws: a relative standard error of 2.6 % for questions that are alike.
    torch.testing.assert_close(values, torch.stack(expected), rtol=0.15, atol=0)
    assert (errors > 0).all()


def test_deep_model_agrees_with_the_whole_jacobian() -> None:
    """Two gated layers with a nonlinearity between them; J^T (diag(p) - p p^T) J on the diagonal."""
    first, second = frozen(4, WIDTH, 1), frozen(VOCABULARY, 4, 2)
    taus = {"a": 0.3 * draw(4, WIDTH, seed=3), "b": 0.3 * draw(VOCABULARY, 4, seed=4)}
    spectra = {name: exact(tau, 4) for name, tau in taus.items()}
    injection = GatedInjection({"a": first, "b": second}, spectra, STRENGTH, FREE)
    x = draw(4, WIDTH, seed=5)

    def logits(c: Tensor) -> Tensor:
        merged = first.weight + STRENGTH * spectra["a"].gate(c[:4])
        hidden = torch.tanh(x @ merged.T + first.bias)
        return hidden @ (second.weight + STRENGTH * spectra["b"].gate(c[4:])).T + second.bias

    jacobian = torch.func.jacrev(logits)(torch.zeros(8, dtype=torch.float64))  # (tokens, vocabulary, 8)
    p = torch.softmax(logits(torch.zeros(8, dtype=torch.float64)), -1).unsqueeze(-1)
    expected = ((p * jacobian**2).sum(1) - (p * jacobian).sum(1) ** 2).mean(0)

    def model(x: Tensor) -> Tensor:
        return second(torch.tanh(first(x)))

    found = estimate_curvature(injection, asking(model, [x]), samples=2000, generator=seeded())
    torch.testing.assert_close(torch.cat(found.values), expected, rtol=0.2, atol=0)


def test_one_draw_is_unbiased_and_no_noisier_than_stated() -> None:
    """Every pattern of signs in turn: the mean square is the information, its variance at most 2 h^2."""
    logits = draw(1, 4).requires_grad_()
    direction = draw(4, seed=1)
    squares = []
    for pattern in range(2**4):
        signs = torch.tensor([1 - 2 * (pattern >> i & 1) for i in range(4)])
        log_probs = torch.log_softmax(logits, -1)
        loss = ((log_probs.detach() / 2).exp() * signs * log_probs).sum()
        (gradient,) = torch.autograd.grad(loss, logits)
        squares.append((gradient[0] @ direction) ** 2)
    squares = torch.stack(squares)
    p = torch.softmax(logits.detach()[0], -1)
    information = (p * direction**2).sum() - (p * direction).sum() ** 2
    torch.testing.assert_close(squares.mean(), information)
    assert squares.var(correction=0) <= 2 * information**2
    drawn = torch.stack([
        (torch.autograd.grad(signed_log_likelihood(logits, seeded(i)), logits)[0][0] @ direction) ** 2
        for i in range(200)
    ])  # fmt: skip
    assert all(torch.isclose(value, squares).any() for value in drawn)


def test_errors_cover_the_spread_between_repetitions() -> None:
    head, _, injection = softmax_layer(WIDTH)
    runs, errors = [], []
    for seed in range(30):
        questions = [draw(4, WIDTH, seed=1000 + 50 * seed + i) for i in range(40)]
        found = estimate_curvature(injection, asking(head, questions), samples=1, generator=seeded(seed))
        runs.append(found.values[0])
        errors.append(found.errors[0])
    ratio = torch.stack(errors).mean(0) / torch.stack(runs).std(0)
    assert ((ratio > 0.6) & (ratio < 1.6)).all()


def test_estimates_repeat_and_one_question_has_no_error() -> None:
    head, _, injection = softmax_layer(2)
    questions = asking(head, [draw(4, WIDTH)])
    first, second = (
        estimate_curvature(injection, questions, samples=3, generator=seeded()) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first.values, second.values, strict=True))
    assert all(torch.isinf(error).all() for error in first.errors)


@pytest.mark.parametrize("rank", [2, WIDTH])
def test_energy_shares_are_squared_norms_over_their_sum(rank: int) -> None:
    _, tau, injection = softmax_layer(rank)
    spectrum = exact(tau, rank)
    squares = [*spectrum.s.square(), *([] if spectrum.tail is None else [spectrum.tail])]
    shares = torch.cat([share.flatten() for share in measure_energy_shares(injection)])
    torch.testing.assert_close(shares, torch.stack(squares) / tau.square().sum())


def test_sigmoid_gates_are_refused() -> None:
    head, tau, _ = softmax_layer(WIDTH)
    injection = GatedInjection({"w": head}, {"w": exact(tau, WIDTH)}, STRENGTH)
    with pytest.raises(ValueError, match="Gates"):
        estimate_curvature(injection, [], samples=1, generator=seeded())
