"""Methods that treat entries one by one or by rank, from their formulas in numpy and float64."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines._magnitude_pruning import Pruning
from frism.errors import UserError
from frism.method import discovery
from frism.method.site import Site
from tests.support.rederivation import LAYERS, close, draw, ours

settings.register_profile("patient", deadline=None, max_examples=30)
settings.load_profile("patient")

seeds = st.integers(0, 2**31)
shapes = st.sampled_from([(1,), (6,), (4, 7), (16, 16), (1, 9)])
densities = st.floats(0.05, 1.0)
strengths = st.floats(-2, 2, width=32)


def taus_of(models: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Task vectors as fp32 differences, which decide what is equal."""
    return [(np.float32(m) - np.float32(models[0])).astype(np.float64) for m in models[1:]]


def ranks(tau: np.ndarray) -> np.ndarray:
    """Places by falling magnitude, the first of equals first."""
    order = np.argsort(-np.abs(tau).ravel(), kind="stable")
    places = np.empty(tau.size, dtype=int)
    places[order] = np.arange(tau.size)
    return places.reshape(tau.shape)


def largest(tau: np.ndarray, density: float) -> np.ndarray:
    """All that are at least as large as the round(density * size)-th."""
    kept = max(1, round(density * tau.size))
    return tau * (np.abs(tau) >= np.sort(np.abs(tau).ravel())[-kept])


@given(seeds, shapes, densities, strengths, st.booleans())
def test_ties_anchor(seed: int, shape: tuple[int, ...], density: float, strength: float, equal: bool) -> None:
    models = draw(seed, shape, equal)
    tau_v, tau_r = taus_of(models)
    kept = largest(tau_r, density)
    agrees = np.sign(np.float32(tau_v) + np.float32(kept)) == np.sign(kept)
    expected = models[1] + strength * kept * agrees
    close(ours("ties_anchor", models, density=density, strength=strength), expected, models, 4)


def test_ties_anchor_leaves_v_whole() -> None:
    models = draw(0, (16, 16))
    assert (ours("ties_anchor", models, strength=0.0) == models[1]).all()
    assert (ours("ties_anchor", [models[0], models[1], models[0]], strength=1.0) == models[1]).all()


@given(seeds, shapes, st.floats(0, 1), st.sampled_from([0.9995, 0.5]))
def test_slerp_delta(seed: int, shape: tuple[int, ...], t: float, straight: float) -> None:
    models = draw(seed, shape)
    tau_v, tau_r = taus_of(models)
    norms = [np.linalg.norm(tau) or 1.0 for tau in (tau_v, tau_r)]
    cosine = float(np.clip(tau_v.ravel() @ tau_r.ravel() / norms[0] / norms[1], -1, 1))
    angle = math.acos(cosine)
    first, second = 1 - t, t
    if abs(cosine) <= straight and math.sin(angle) >= 1e-8:
        first, second = (math.sin(part * angle) / math.sin(angle) for part in (1 - t, t))
    expected = models[0] + first * tau_v + second * tau_r
    close(ours("slerp_delta", models, t=t, straight=straight), expected, models, 8)


def test_slerp_delta_keeps_norms_and_ends() -> None:
    base, vlm, lrm = draw(1, (16, 16))
    lrm = base + (lrm - base) * np.linalg.norm(vlm - base) / np.linalg.norm(lrm - base)
    for t in (0.2, 0.5, 0.8):
        result = ours("slerp_delta", [base, vlm, lrm], t=t) - base
        assert math.isclose(np.linalg.norm(result), np.linalg.norm(vlm - base), rel_tol=1e-5)
    close(ours("slerp_delta", [base, vlm, lrm], t=1.0), lrm, [base, vlm, lrm], 4)
    assert (ours("slerp_delta", [base, vlm, lrm], t=0.0) == vlm).all()


@given(seeds, shapes, densities, st.floats(0, 0.5), strengths, st.booleans())
def test_breadcrumbs(
    seed: int, shape: tuple[int, ...], density: float, gamma: float, strength: float, mask_vlm: bool
) -> None:
    models = draw(seed, shape)
    tau_v, tau_r = taus_of(models)
    size = tau_v.size
    kept = max(1, int(density * size))
    dropped = min(int(gamma * size), size - kept)

    def crumbs(tau: np.ndarray) -> np.ndarray:
        places = ranks(tau)
        return tau * ((places >= dropped) & (places < dropped + kept))

    anchor = models[0] + 1.3 * crumbs(tau_v) if mask_vlm else models[1]
    options = {"density": density, "gamma": gamma, "mask_vlm": mask_vlm, "vlm_weight": 1.3}
    result = ours("breadcrumbs", models, strength=strength, **options)
    close(result, anchor + strength * crumbs(tau_r), models, 4)


def test_breadcrumbs_without_largest_is_trimming() -> None:
    models = draw(3, (16, 16))
    result = ours("breadcrumbs", models, density=0.3, gamma=0.0, strength=1.0)
    kept = ranks(taus_of(models)[1]) < int(0.3 * 256)
    close(result, models[1] + taus_of(models)[1] * kept, models, 4)


@given(seeds, st.sampled_from([(5,), (4, 7), (8, 2)]), st.sampled_from([(0.5, 0.15), (0.3, 0.2), (0.8, 0.0)]))
def test_della_probabilities_rise_with_the_rank_in_the_row(
    seed: int, shape: tuple[int, ...], pair: tuple[float, float]
) -> None:
    delta = np.random.default_rng(seed).normal(size=shape)
    density, epsilon = pair
    expected = []
    for row in np.atleast_2d(delta):
        order = sorted(range(len(row)), key=lambda i: abs(row[i]))
        expected.append(
            [density - epsilon + 2 * epsilon * order.index(i) / (len(row) - 1) for i in range(len(row))]
        )
    found = Pruning(density, epsilon).probabilities(torch.tensor(delta)).numpy()
    np.testing.assert_allclose(found, np.array(expected).reshape(shape), rtol=1e-12)


def test_della_is_unbiased_and_refuses_what_leaves_the_range() -> None:
    delta = torch.tensor(draw(0, (6, 8))[1], dtype=torch.float32)
    generator, pruning = torch.Generator().manual_seed(0), Pruning(0.5, 0.2)
    draws = 4000
    mean = torch.stack([pruning.prune(delta, generator) for _ in range(draws)]).double().mean(dim=0)
    keep = pruning.probabilities(delta).double()
    error = ((1 / keep - 1) / draws).sqrt() * delta.double().abs()
    assert ((mean - delta).abs() <= 6 * error).all()
    with pytest.raises(UserError, match=r"method della: density 0\.1"):
        discovery.find("della").validate({"density": 0.1, "epsilon": 0.15})


@given(seeds, st.sampled_from([(6,), (4, 7)]), st.sampled_from(["mean", "l1"]), st.booleans())
def test_della(seed: int, shape: tuple[int, ...], restore: str, rescale: bool) -> None:
    """The drawn masks are read off a run in which the other task vector is zero."""
    base, vlm, lrm = models = draw(seed, shape)
    method = discovery.find("della")
    options = {"density": 0.6, "epsilon": 0.2, "restore": restore, "rescale": rescale}
    draws = torch.Generator().manual_seed(0)

    def prune(tau: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        rows = np.atleast_2d(tau)
        places = np.argsort(np.argsort(np.abs(rows), axis=1, kind="stable"), axis=1)
        keep = (0.4 + 0.4 * places / (rows.shape[1] - 1)).reshape(tau.shape)
        kept = tau * (uniform < keep)
        if not rescale:
            return kept
        if restore == "mean":
            return kept / keep
        return kept * np.abs(tau).sum() / np.abs(kept).sum() if np.abs(kept).sum() > 1e-7 else kept

    uniform = [torch.rand(shape, generator=draws).numpy() for _ in range(2)]
    pruned = [prune(tau, u) for tau, u in zip(taus_of(models), uniform, strict=True)]
    tensors = [torch.tensor(m, dtype=torch.float32) for m in models]
    site = Site.of(*tensors, rng=torch.Generator().manual_seed(0))
    merged = method.run_merge(site, method.validate({**options, "anchor": "base", "strength": 0.7}))
    agree = [tau * (pruned[0] + pruned[1]) > 0 for tau in pruned]
    count = np.maximum(1, agree[0].astype(int) + agree[1])
    update = (pruned[0] * agree[0] + pruned[1] * agree[1]) / count
    close(merged.double().numpy(), base + 0.7 * update, models, 40)
    site = Site.of(*tensors, rng=torch.Generator().manual_seed(0))
    merged = method.run_merge(site, method.validate({**options, "strength": 0.7}))
    close(merged.double().numpy(), vlm + 0.7 * prune(taus_of(models)[1], uniform[0]), models, 40)
    assert lrm is models[2]


@given(seeds, shapes, densities, st.sampled_from([0.0, 1e-6, 1.0]))
def test_sce(seed: int, shape: tuple[int, ...], density: float, floor: float) -> None:
    models = draw(seed, shape)
    taus = np.stack(taus_of(models))
    variance = np.stack([np.float32(t) for t in taus]).var(axis=0)
    if density < 1:
        kept = int(np.count_nonzero(variance) * density)
        taus = taus * (ranks(variance) < kept)
    squares = [(tau**2).mean() for tau in taus]
    weights = [s / sum(squares) for s in squares] if sum(squares) > floor else [0.5, 0.5]
    sign = np.where(taus.sum(axis=0) >= 0, 1.0, -1.0)
    agreeing = [w * (np.sign(tau) == sign) for w, tau in zip(weights, taus, strict=True)]
    divisor = sum(agreeing)
    total = sum(a * tau for a, tau in zip(agreeing, taus, strict=True))
    expected = models[0] + np.divide(total, divisor, out=np.zeros(shape), where=divisor > 0)
    close(ours("sce", models, density=density, floor=floor), expected, models, 8)


@given(seeds, st.sampled_from([(40,), (12, 13), (30, 30)]), st.sampled_from([0.05, 0.1, 0.5, 1.0]))
def test_pcb(seed: int, shape: tuple[int, ...], density: float) -> None:
    """The released code, on one flattened tensor."""
    models = draw(seed, shape)
    checks = np.stack([tau.ravel() for tau in taus_of(models)])
    count = checks.shape[1]

    def clamp(x: np.ndarray, low: float, high: float) -> np.ndarray:
        ordered = np.sort(x, axis=1)
        bottom = ordered[:, min(count - 1, int(count * low))][:, None]
        return np.clip(x, bottom, ordered[:, int(count * (1 - high) - 1)][:, None])

    def normalize(x: np.ndarray) -> np.ndarray:
        low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
        return np.divide(x - low, high - low, out=np.zeros_like(x), where=high > low)

    size = clamp(np.abs(checks), 1e-4, 1e-4)
    score = np.exp(len(checks) * normalize(size) ** 2) * np.tanh(checks * checks.sum(axis=0))
    scale = normalize(clamp(score, 1 - density, 0))
    merged = (np.sign(checks) * size * scale).sum(axis=0) / np.maximum(scale.sum(axis=0), 1e-12)
    result = ours("pcb", models, density=density, strength=1.2)
    # A scale is a quotient of differences: rounding of the scores is amplified where scores are alike.
    error = np.abs(result - (models[0] + 1.2 * merged.reshape(shape)))
    assert error.max() < 1e-3 and np.median(error) < 1e-6


@given(seeds, shapes, st.floats(0, 1.5), st.sampled_from([1, 2]))
def test_consensus(seed: int, shape: tuple[int, ...], threshold: float, count: int) -> None:
    models = draw(seed, shape)
    taus = taus_of(models)
    both = sum(taus)
    votes = sum(np.float32(np.abs(tau)) >= np.float32(threshold) * np.float32(np.abs(other))
                for tau, other in (taus, taus[::-1]))  # fmt: skip
    expected = models[0] + 0.8 * both * (votes >= count)
    result = ours("consensus", models, threshold=threshold, votes=count, strength=0.8)
    near = np.abs(np.abs(taus[0]) - threshold * np.abs(taus[1])) < 1e-7
    near |= np.abs(np.abs(taus[1]) - threshold * np.abs(taus[0])) < 1e-7
    close(np.where(near, 0, result), np.where(near, 0, expected), models, 8)


@given(seeds, shapes, st.floats(0.01, 0.2), st.floats(0, 1))
def test_ram(seed: int, shape: tuple[int, ...], changed: float, gain: float) -> None:
    models = draw(seed, shape)
    tau_v, tau_r = taus_of(models)
    by = [np.abs(np.float32(tau)) > np.float32(changed) for tau in (tau_v, tau_r)]
    shared = (by[0] & by[1]).sum()
    expected = models[0] + (tau_v + tau_r) / 2 * (by[0] & by[1])
    for tau, own, other in ((tau_v, *by), (tau_r, *by[::-1])):
        unique = (own & ~other).sum()
        factor = 1 + gain * min(shared / unique if unique else 0.0, 0.2)
        expected = expected + factor * tau * (own & ~other)
    close(ours("ram", models, changed=changed, gain=gain, most=0.2), expected, models, 8)


@given(seeds, shapes, strengths, strengths, st.one_of(st.none(), st.integers(0, LAYERS - 1)))
def test_lines(seed: int, shape: tuple[int, ...], first: float, rise: float, layer: int | None) -> None:
    models = draw(seed, shape)
    factor = first + rise * (layer or 0) / (LAYERS - 1)
    expected = models[1] + factor * (models[2] - models[0])
    close(ours("lines", models, layer, first=first, rise=rise), expected, models, 8)
    flat = ours("lines", models, layer, first=first, rise=0.0)
    close(flat, ours("inject", models, strength=first), models, 2)


@given(seeds, shapes, densities, st.booleans())
def test_localize_dataless(seed: int, shape: tuple[int, ...], density: float, equal: bool) -> None:
    models = draw(seed, shape, equal)
    tau_v, tau_r = (largest(tau, density) for tau in taus_of(models))
    close(
        ours("localize_dataless", models, density=density, strength=0.9), models[1] + 0.9 * tau_r, models, 4
    )
    owners = np.maximum(1, (tau_v != 0).astype(int) + (tau_r != 0))
    expected = models[0] + 0.9 * (tau_v + tau_r) / owners
    result = ours("localize_dataless", models, density=density, strength=0.9, anchor="base")
    close(result, expected, models, 4)
