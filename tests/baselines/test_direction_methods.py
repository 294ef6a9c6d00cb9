"""Methods on singular directions, from their authors' formulas in numpy and float64, and their invariants."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines._spectral import orthogonalise
from frism.method.site import Site
from frism.spectra.spectrum import Spectrum, decompose
from tests.support.rederivation import draw, ours
from tests.support.whole_tensors import merge_whole

settings.register_profile("patient", deadline=None, max_examples=20)
settings.load_profile("patient")

seeds = st.integers(0, 2**31)
matrices = st.sampled_from([(4, 7), (16, 16), (9, 5), (12, 6)])
strengths = st.floats(-2, 2, width=32)
Matrix = np.ndarray
SVD = tuple[Matrix, Matrix, Matrix]


def svd(matrix: Matrix) -> SVD:
    return np.linalg.svd(matrix, full_matrices=False)


def taus_of(models: Sequence[Matrix]) -> list[Matrix]:
    return [(np.float32(m) - np.float32(models[0])).astype(np.float64) for m in models[1:]]


def near(result: Matrix, expected: Matrix, tolerance: float = 2e-5) -> None:
    np.testing.assert_allclose(result, expected, atol=tolerance, rtol=tolerance)


def polar(matrix: Matrix) -> Matrix:
    u, _, vh = svd(matrix)
    return u @ vh


@given(seeds, matrices, st.floats(0.05, 1.0), strengths)
def test_star(seed: int, shape: tuple[int, int], mass: float, strength: float) -> None:
    models = draw(seed, shape)

    def star(tau: Matrix) -> Matrix:
        u, s, vh = svd(tau)
        if np.abs(np.cumsum(s) / s.sum() - mass).min() < 1e-5:
            return np.full(tau.shape, np.nan)  # which side of the limit is a matter of rounding
        kept = int(np.searchsorted(np.cumsum(s) / s.sum(), mass)) + 1
        kept = min(kept, len(s))
        return (u[:, :kept] * s[:kept] * (s.sum() / s[:kept].sum())) @ vh[:kept]

    of_vlm, of_lrm = (star(tau) for tau in taus_of(models))
    if not np.isnan(of_lrm).any():
        near(ours("star", models, mass=mass, strength=strength), models[1] + strength * of_lrm)
    if not np.isnan(of_lrm + of_vlm).any():
        result = ours("star", models, mass=mass, strength=strength, anchor="base")
        near(result, models[0] + strength * (of_vlm + of_lrm))


@given(seeds, matrices, st.integers(1, 20), strengths)
def test_truncated_and_its_controls(seed: int, shape: tuple[int, int], rank: int, strength: float) -> None:
    models = draw(seed, shape)
    tau = taus_of(models)[1]
    u, s, vh = svd(tau)
    best = (u[:, :rank] * s[:rank]) @ vh[:rank]
    near(ours("truncated", models, rank=rank, strength=strength), models[1] + strength * best)
    whole = np.linalg.norm(tau)
    scaled = best * whole / np.linalg.norm(best)
    result = ours("truncated", models, rank=rank, strength=strength, match_norm=True)
    near(result, models[1] + strength * scaled)
    last = (u[:, ::-1][:, :rank][:, ::-1] * s[:rank]) @ vh[::-1][:rank][::-1]
    result = ours("trailing_directions", models, rank=rank, strength=strength)
    near(result, models[1] + strength * last * whole / np.linalg.norm(s[:rank]))
    drawn = (ours("random_directions", models, rank=rank, strength=1.0) - models[1]).astype(np.float64)
    sizes = s[:rank] * whole / np.linalg.norm(s[:rank])
    near(svd(drawn)[1][: len(sizes)], sizes, 1e-4)
    near(svd(drawn)[1][len(sizes) :], 0, 1e-4)


def test_truncated_at_full_rank_is_injection() -> None:
    models = draw(0, (12, 8))
    near(ours("truncated", models, rank=8, strength=0.4), ours("inject", models, strength=0.4))


@given(seeds, matrices, strengths, strengths)
def test_rank_one(seed: int, shape: tuple[int, int], strength: float, shrink: float) -> None:
    base, vlm, _ = models = draw(seed, shape)
    tau = taus_of(models)[1]
    u, _, vh = svd(tau)
    expected = vlm + shrink * (base - vlm) + strength * np.linalg.norm(tau) * np.outer(u[:, 0], vh[0])
    near(ours("rank_one", models, strength=strength, shrink=shrink), expected)


def tsv_m(taus: Sequence[Matrix]) -> tuple[Matrix, Matrix, Matrix]:
    """The released code: halves of the spectra side by side in zero matrices, both sides whitened."""
    small = min(taus[0].shape)
    share = int(small * 0.5)
    u = np.zeros((taus[0].shape[0], small))
    s, vh = np.zeros(small), np.zeros((small, taus[0].shape[1]))
    for number, tau in enumerate(taus):
        place = slice(number * share, (number + 1) * share)
        one = svd(tau)
        u[:, place], s[place], vh[place] = one[0][:, :share], one[1][:share], one[2][:share]
    return polar(u), s, polar(vh)


@given(seeds, matrices, strengths)
def test_tsv_m(seed: int, shape: tuple[int, int], strength: float) -> None:
    models = draw(seed, shape)
    u, s, vh = tsv_m(taus_of(models))
    near(ours("tsv_m", models, strength=strength), models[0] + strength * (u * s) @ vh, 1e-4)
    share = min(shape) // 2
    of_lrm = slice(share, 2 * share)
    expected = models[1] + strength * (u[:, of_lrm] * s[of_lrm]) @ vh[of_lrm]
    near(ours("tsv_m", models, strength=strength, anchor="vlm"), expected, 1e-4)


def test_tsv_m_of_orthogonal_task_vectors_is_the_sum_of_truncations() -> None:
    base = draw(0, (12, 8))[0]
    u, _, vh = svd(np.random.default_rng(0).normal(size=(12, 8)))
    taus = [(u[:, i : i + 4] * [0.4, 0.3, 0.2, 0.1]) @ vh[i : i + 4] for i in (0, 4)]
    near(ours("tsv_m", [base, *(base + tau for tau in taus)]), base + sum(taus), 1e-5)


def test_orthogonalise_is_the_polar_factor_and_leaves_out_what_is_missing() -> None:
    columns = np.random.default_rng(0).normal(size=(9, 5))
    near(orthogonalise(torch.tensor(columns)).numpy(), polar(columns), 1e-12)
    twice = torch.tensor(np.hstack([columns[:, :2], columns[:, :2]]))
    found = orthogonalise(twice)
    near((found @ found.mT).numpy(), polar(columns[:, :2]) @ polar(columns[:, :2]).T, 1e-9)
    assert (orthogonalise(torch.zeros(4, 2)) == 0).all()


@given(seeds, matrices, strengths)
def test_iso_c(seed: int, shape: tuple[int, int], strength: float) -> None:
    models = draw(seed, shape)
    for of, anchor, matrix in (
        ("sum", models[0], sum(taus_of(models))),
        ("lrm", models[1], taus_of(models)[1]),
    ):
        u, s, vh = svd(matrix)
        if s[-1] > 1e-3 * s[0]:  # else its last directions are ill-conditioned
            near(ours("iso_c", models, strength=strength, of=of), anchor + strength * s.mean() * u @ vh, 2e-4)


def test_iso_c_of_a_flat_spectrum_is_the_sum_and_of_low_rank_raises_nothing() -> None:
    base = draw(0, (8, 8))[0]
    half = 0.1 * polar(np.random.default_rng(1).normal(size=(8, 8)))
    near(ours("iso_c", [base, base + half, base + half]), base + 2 * half, 1e-5)
    thin = np.outer(np.arange(1.0, 9), np.ones(8)) / 20
    result = ours("iso_c", [base, base + thin, base]) - base
    assert np.linalg.matrix_rank(result, tol=1e-4) == 1


def iso_cts(taus: Sequence[Matrix], common: float) -> Matrix:
    """The released code."""
    small = min(taus[0].shape)
    index = int(small * common)
    index = small - round((small - index) / len(taus)) * len(taus)
    u, s, vh = svd(sum(taus))
    shared_u, parts = u[:, :index], []
    own = int((small - index) / len(taus))
    for tau in taus:
        one = svd(tau - shared_u @ shared_u.T @ tau)
        parts.append((one[0][:, :own], one[1][:own], one[2][:own]))
    parts.append((shared_u, s[:index], vh[:index]))
    left, sizes, right = zip(*parts, strict=True)
    return polar(np.hstack(left)) * np.concatenate(sizes).mean() @ polar(np.vstack(right))


@given(seeds, st.sampled_from([(16, 16), (12, 10)]), st.sampled_from([0.5, 0.8, 1.0]))
def test_iso_cts(seed: int, shape: tuple[int, int], common: float) -> None:
    models = draw(seed, shape)
    if svd(sum(taus_of(models)))[1][-1] < 1e-2:
        return
    expected = models[0] + 0.7 * iso_cts(taus_of(models), common)
    near(ours("iso_cts", models, common=common, strength=0.7), expected, 2e-3)


def test_iso_cts_with_everything_common_is_iso_c() -> None:
    models = draw(5, (12, 10))
    near(ours("iso_cts", models, common=1.0), ours("iso_c", models), 1e-4)


def dc_merge(taus: Sequence[Matrix], density: float, smoothing: str, slope: float) -> Matrix:
    """The released code."""
    share = min(taus[0].shape) // 2
    parts = []
    for tau in taus:
        u, s, vh = (part[..., :share] if n == 0 else part[:share] for n, part in enumerate(svd(tau)))
        if smoothing != "none":
            ratio = min(slope, s[0] / s[-1]) if smoothing == "linear" else 1.0
            shape = np.linspace(ratio, 1.0, share)
            s = s.sum() * shape / shape.sum()
        parts.append((u, s, vh))
    left = polar(np.hstack([p[0] for p in parts]))
    right = polar(np.vstack([p[2] for p in parts]))
    small = [left.T @ ((p[0] * p[1]) @ p[2]) @ right.T for p in parts]
    kept = []
    for matrix in small:
        limit = np.sort(np.abs(matrix).ravel())[-max(1, int(density * matrix.size))]
        kept.append(matrix * (np.abs(matrix) >= limit))
    stacked, total = np.stack(kept), sum(kept)
    agree = np.sign(stacked) == np.sign(total)
    merged = np.where(total == 0, 0, (stacked * agree).sum(axis=0) / np.maximum(1, agree.sum(axis=0)))
    mask = np.zeros_like(merged)
    for number in range(2):
        mask[number * share : (number + 1) * share, number * share : (number + 1) * share] = 1
    return left @ (merged * mask) @ right


@given(seeds, matrices, st.sampled_from([1e-3, 0.1, 0.4]), st.sampled_from(["none", "average", "linear"]))
def test_dc_merge(seed: int, shape: tuple[int, int], density: float, smoothing: str) -> None:
    models = draw(seed, shape)
    expected = models[0] + 0.8 * dc_merge(taus_of(models), density, smoothing, 3.0)
    result = ours("dc_merge", models, density=density, smoothing=smoothing, slope=3.0, strength=0.8)
    near(result, expected, 1e-4)


def descend(
    start: Matrix,
    terms: Sequence[tuple[Matrix, Matrix, float]],
    steps: int,
    update: Callable[[Matrix], Matrix],
) -> Matrix:
    theta = start.copy()
    for _ in range(steps):
        theta = theta - update(sum(2 * (theta - t) @ rows.T @ rows / norm for t, rows, norm in terms))
    return theta


def adam(lr: float) -> Callable[[Matrix], Matrix]:
    """Kingma and Ba 2015, algorithm 1, with torch's defaults."""
    state = {"m": 0.0, "v": 0.0, "t": 0}

    def update(gradient: Matrix) -> Matrix:
        state["t"] += 1
        state["m"] = 0.9 * state["m"] + 0.1 * gradient
        state["v"] = 0.999 * state["v"] + 0.001 * gradient**2
        m, v = state["m"] / (1 - 0.9 ** state["t"]), state["v"] / (1 - 0.999 ** state["t"])
        return lr * m / (np.sqrt(v) + 1e-8)

    return update


def momentum(lr: float) -> Callable[[Matrix], Matrix]:
    state = {"b": 0.0}

    def update(gradient: Matrix) -> Matrix:
        state["b"] = 0.9 * state["b"] + gradient
        return lr * state["b"]

    return update


@given(seeds, matrices)
def test_wudi(seed: int, shape: tuple[int, int]) -> None:
    models = draw(seed, shape)
    taus = taus_of(models)
    terms = [(tau, tau, (tau**2).sum()) for tau in taus]
    expected = models[0] + 0.9 * descend(sum(taus), terms, 20, adam(1e-4))
    near(ours("wudi", models, lr=1e-4, steps=20, strength=0.9), expected, 3e-5)


def loss_of(theta: Matrix, taus: Sequence[Matrix]) -> float:
    return sum(np.linalg.norm((theta - tau) @ tau.T) ** 2 / np.linalg.norm(tau) ** 2 for tau in taus)


def test_wudi_lowers_its_loss_and_ends_at_the_closed_form() -> None:
    models = draw(2, (6, 12))
    taus = taus_of(models)
    losses = [
        loss_of(ours("wudi", models, lr=1e-3, steps=steps) - models[0], taus) for steps in (0, 50, 200, 800)
    ]
    assert losses == sorted(losses, reverse=True)
    best = ours("optmerge", models, form="swudi", time=1e9, share=1.0) - models[0]
    assert loss_of(best, taus) < losses[-1] * 1.001
    for _ in range(20):
        nudge = 1e-3 * np.random.default_rng(_).normal(size=best.shape)
        assert loss_of(best + nudge, taus) >= loss_of(best, taus) - 1e-7


def truncate(matrix: Matrix, rank: int) -> SVD:
    u, s, vh = svd(matrix)
    return u[:, :rank], s[:rank], vh[:rank]


@given(seeds, matrices, st.sampled_from(["adam", "sgd"]))
def test_optmerge_by_descent(seed: int, shape: tuple[int, int], form: str) -> None:
    """The released scripts for InternVL (adam) and Qwen (sgd)."""
    models = draw(seed, shape)
    taus, rank = taus_of(models), min(shape) // 2
    mean = sum(taus) / 2
    terms = []
    for tau in taus:
        u, s, vh = truncate(tau - mean if form == "adam" else tau, rank)
        target = (u * s) @ vh + (mean if form == "adam" else 0)
        _, s, vh = truncate(tau, rank)
        terms.append((target, s[:, None] * vh, (tau**2).sum()))
    start, update = (sum(taus), adam(1e-4)) if form == "adam" else (mean, momentum(1e-2))
    expected = models[0] + 0.5 * descend(start, terms, 15, update)
    result = ours("optmerge", models, form=form, lr=1e-4 if form == "adam" else 1e-2, steps=15, strength=0.5)
    near(result, expected, 1e-4)


@given(seeds, st.sampled_from([(4, 11), (16, 16), (12, 6)]), st.sampled_from(["swudi", "aswudi"]))
def test_optmerge_in_closed_form(seed: int, shape: tuple[int, int], form: str) -> None:
    """The released functions, which decompose C itself; directions without weight are left out here."""
    models = draw(seed, shape)
    taus = taus_of(models)
    c = sum(tau.T @ tau / (tau**2).sum() for tau in taus)
    d = sum(tau @ tau.T @ tau / (tau**2).sum() for tau in taus)
    values, vectors = np.linalg.eigh(c)
    values = np.maximum(values, 1e-8)
    if form == "swudi":
        f = (1 - np.exp(-values * 50.0)) * (
            np.arange(len(values)) >= len(values) - int(len(values) * 0.65 + 0.999)
        )
    else:
        raw = np.sqrt(values).sum() ** 2 / values.sum()
        if abs(raw - round(raw)) < 1e-3:
            return
        f = (np.arange(len(values)) >= len(values) - int(np.ceil(raw))).astype(float)
    f = f * (values > 2e-8)
    start = sum(taus)
    expected = start - start @ (vectors * f) @ vectors.T + d @ (vectors * (f / values)) @ vectors.T
    near(ours("optmerge", models, form=form, time=50.0, share=0.65), models[0] + expected, 2e-4)


def lore(taus: Sequence[Matrix], mu: float, rounds: int, common: Matrix | float = 0.0) -> list[Matrix]:
    """Coordinate descent on the paper's objective; theta_0 relative to B, then both task vectors."""
    deltas: list[Matrix] = []
    for _ in range(rounds):
        deltas = []
        for tau in taus:
            u, s, vh = svd(tau - common)
            deltas.append((u * np.maximum(0, s - mu / 2)) @ vh)
        common = sum(tau - delta for tau, delta in zip(taus, deltas, strict=True)) / 2
    return [np.asarray(common), *deltas]


def objective(parts: Sequence[Matrix], taus: Sequence[Matrix], mu: float) -> float:
    common, *deltas = parts
    fit = sum(np.linalg.norm(common + delta - tau) ** 2 for delta, tau in zip(deltas, taus, strict=True))
    return fit + mu * sum(svd(delta)[1].sum() for delta in deltas)


@given(seeds, matrices, st.sampled_from([0.0, 0.05, 0.5]), st.sampled_from([1, 2, 4]))
def test_lore(seed: int, shape: tuple[int, int], mu: float, rounds: int) -> None:
    models = draw(seed, shape)
    common, *deltas = lore(taus_of(models), mu, rounds)
    expected = models[0] + common + 0.8 * sum(deltas)
    near(ours("lore", models, mu=mu, rounds=rounds, strength=0.8), expected, 1e-4)


def test_lore_descends_and_the_average_is_a_fixed_point() -> None:
    models = draw(4, (10, 8))
    taus = taus_of(models)
    values = [objective(lore(taus, 0.2, rounds), taus, 0.2) for rounds in range(1, 8)]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(values))
    average = sum(taus) / 2
    common, *deltas = lore(taus, 0.2, 3, common=average)
    near(common, average, 1e-12)
    near(sum(deltas), 0, 1e-12)
    near(ours("lore", models, mu=0.0, strength=1.0), ours("inject", models, strength=1.0))


def flipped(spectrum: Spectrum, seed: int) -> Spectrum:
    signs = torch.randint(0, 2, spectrum.s.shape, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1
    return Spectrum(spectrum.u * signs, spectrum.s, spectrum.vh * signs[:, None], spectrum.tail)


METHODS = {
    "star": {}, "truncated": {}, "rank_one": {}, "trailing_directions": {}, "tsv_m": {"anchor": "vlm"},
    "iso_c": {"of": "lrm"}, "dc_merge": {"density": 0.2}, "optmerge": {}, "lore": {},
}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_signs_of_singular_vectors_do_not_matter(method: str) -> None:
    tensors = [torch.tensor(m, dtype=torch.float32) for m in draw(7, (12, 9))]
    spectrum = decompose(tensors[2] - tensors[0])
    one = merge_whole(method, Site.of(*tensors, spectrum=spectrum), **METHODS[method])
    for seed in range(3):
        other = merge_whole(method, Site.of(*tensors, spectrum=flipped(spectrum, seed)), **METHODS[method])
        torch.testing.assert_close(other, one, atol=2e-5, rtol=1e-4)
