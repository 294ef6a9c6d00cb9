"""IP-Merging, again in numpy and float64 from its description, and what chance does to the released form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from baselines import _low_rank, inject, ip_invariant, ip_released
from frism.merging.on_load import measure_injected_norms
from frism.method.recipe import Recipe
from frism.method.site import Site
from frism.spectra.spectrum import Spectrum, decompose
from frism.triples.triple import Triple

settings.register_profile("patient", deadline=None, max_examples=40)
settings.load_profile("patient")

seeds = st.integers(0, 2**31)
shapes = st.sampled_from([(8, 8), (12, 5), (4, 9), (1, 1)])
thresholds = st.floats(0, 1)
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(seed: int, shape: tuple[int, int] = (8, 8), shared: float = 0.7) -> list[Tensor]:
    """B, V, R whose task vectors have a part in common, so that some directions agree."""
    noise = generator(seed)
    base, common, own_v, own_r = (torch.randn(shape, generator=noise) for _ in range(4))
    common = common[:, :1] @ torch.randn(1, shape[1], generator=noise)  # rank one
    return [base, base + 0.1 * (shared * common + own_v), base + 0.1 * (shared * common + own_r)]


def close(result: Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(result.double(), torch.from_numpy(expected), atol=2e-4, rtol=2e-4)


def written_out(
    tau_v: Arrays, tau_r: Arrays, threshold: float, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """The released formula, one direction at a time; and the cosines it went by."""
    (_, s_v, vh_v), (u_r, s_r, vh_r) = tau_v, tau_r
    cosines = np.array([float(a @ b) / np.sqrt((a @ a) * (b @ b)) for a, b in zip(vh_v, vh_r, strict=True)])
    donor = sum(s * np.outer(u, v) for u, s, v in zip(u_r.T, s_r, vh_r, strict=True))
    if cosines.max() < threshold:
        return np.zeros_like(donor), cosines
    weights = np.exp(temperature * cosines - (temperature * cosines).max())
    weights /= weights.sum()
    q = np.stack([w * v for w, v in zip(weights, vh_v, strict=True)])
    return s_v.sum() / s_r.sum() * donor @ (q.T @ q), cosines


def svds(base: Tensor, vlm: Tensor, lrm: Tensor, rank: int, seed: int) -> tuple[Arrays, Arrays]:
    """What ip_released decomposes, with the very draws it makes."""
    draws = generator(seed)
    rank = min(rank, *vlm.shape)
    found = [_low_rank.low_rank_svd(m - base, rank, draws) for m in (vlm, lrm)]
    first, second = (tuple(part.double().numpy() for part in parts) for parts in found)
    return first, second  # type: ignore[return-value]


@given(seeds, shapes, thresholds, st.sampled_from([1.0, 32.0]), st.sampled_from([2, 1024]))
def test_released(seed: int, shape: tuple[int, int], threshold: float, temperature: float, rank: int) -> None:
    models = draw(seed, shape)
    expected, cosines = written_out(*svds(*models, rank, seed), threshold, temperature)
    if abs(cosines.max() - threshold) < 1e-5:
        return
    result = ip_released.merge(
        Site.of(*models, rng=generator(seed)),
        threshold=threshold,
        strength=0.5,
        temperature=temperature,
        rank=rank,
    )
    close(result, models[1].double().numpy() + 0.5 * expected)


@given(seeds, shapes, thresholds, st.sampled_from([2, 1024]))
def test_invariant(seed: int, shape: tuple[int, int], threshold: float, rank: int) -> None:
    models = draw(seed, shape)
    base, vlm, lrm = (m.double().numpy() for m in models)
    _, s_v, vh_v = np.linalg.svd(vlm - base, full_matrices=False)
    u_r, s_r, vh_r = np.linalg.svd(lrm - base, full_matrices=False)
    rank = min(rank, len(s_v))
    largest = [max(abs(float(v @ w)) for w in vh_r[:rank]) for v in vh_v[:rank]]
    if min(abs(value - threshold) for value in largest) < 1e-4:
        return
    projector = np.zeros((shape[1], shape[1]))
    for v, agreement in zip(vh_v[:rank], largest, strict=True):
        projector += np.outer(v, v) * (agreement >= threshold)
    donor = sum(s * np.outer(u, v) for u, s, v in zip(u_r.T[:rank], s_r[:rank], vh_r[:rank], strict=True))
    scale = s_v[:rank].sum() / s_r[:rank].sum()
    result = ip_invariant.merge(
        Site.of(*models, spectrum=decompose(models[2] - models[0])),
        threshold=threshold,
        strength=0.5,
        rank=rank,
    )
    close(result, vlm + 0.5 * scale * donor @ projector)


@given(seeds, st.sampled_from([(9, 6), (6, 9), (7, 7)]), st.integers(1, 6))
def test_low_rank_svd_is_torchs_own_with_a_generator(seed: int, shape: tuple[int, int], rank: int) -> None:
    matrix = torch.randn(shape, generator=generator(seed))
    u, s, vh = _low_rank.low_rank_svd(matrix, rank, generator(seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expected = torch.svd_lowrank(matrix, q=rank, niter=_low_rank.POWER_STEPS)
    torch.testing.assert_close(s, expected[1], atol=1e-4, rtol=1e-4)
    approximation = (expected[0] * expected[1]) @ expected[2].mT
    torch.testing.assert_close((u * s) @ vh, approximation, atol=1e-4, rtol=1e-4)


def flipped(spectrum: Spectrum, seed: int) -> Spectrum:
    """The same task vector: signs turned and the order of directions swapped."""
    draws = generator(seed)
    k = len(spectrum.s)
    signs = torch.randint(0, 2, (k,), generator=draws) * 2.0 - 1
    order = torch.randperm(k, generator=draws)
    return Spectrum((spectrum.u * signs)[:, order], spectrum.s[order], (spectrum.vh * signs[:, None])[order])


@given(seeds, thresholds)
def test_invariant_knows_no_signs_and_no_order(seed: int, threshold: float) -> None:
    base, vlm, lrm = draw(seed)
    plain = decompose(lrm - base)
    agreement = (decompose(vlm - base).vh @ plain.vh.T).abs().amax(1)
    if (agreement - threshold).abs().min() < 1e-5:
        return
    first, second = (
        ip_invariant.merge(Site.of(base, vlm, lrm, spectrum=spectrum), threshold=threshold)
        for spectrum in (plain, flipped(plain, seed))
    )
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)


def test_released_depends_on_the_arbitrary_signs_of_an_svd(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weakness that ip_invariant mends: equal matrices, signs turned, another merge."""
    models, plain = draw(0, (16, 16), shared=0.0), _low_rank.low_rank_svd

    def norm(seed: int | None) -> float:
        signs = (
            torch.ones(16)
            if seed is None
            else torch.randint(0, 2, (16,), generator=generator(seed)) * 2.0 - 1
        )

        def turned(matrix: Tensor, rank: int, draws: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
            u, s, vh = plain(matrix, rank, draws)
            return u * signs, s, vh * signs[:, None]

        calls = iter([plain, turned])  # tau_V as it came, tau_R with other signs
        monkeypatch.setattr(ip_released, "low_rank_svd", lambda *a: next(calls)(*a))
        result = ip_released.merge(Site.of(*models, rng=generator(0)), threshold=0.0)
        return float((result - models[1]).norm() / (models[1] - models[0]).norm())

    norms = [norm(seed) for seed in (None, *range(20))]
    assert max(norms) > 2 * min(norms)


def test_released_depends_on_its_seed_and_repeats() -> None:
    models = draw(0, (64, 64))
    runs = [
        ip_released.merge(Site.of(*models, rng=generator(seed)), threshold=-1.0, rank=8) for seed in (0, 0, 1)
    ]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_released_injects_the_less_the_more_directions_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """m directions that agree fully pass with a gain of 1 / m^2 each: Q^T Q is no projector."""

    def axes(matrix: Tensor, rank: int, draws: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        return torch.eye(8)[:, :rank], matrix.diagonal()[:rank], torch.eye(8)[:rank]

    monkeypatch.setattr(ip_released, "low_rank_svd", axes)
    tau = torch.diag(torch.arange(8.0, 0.0, -1))
    for m in (1, 2, 4, 8):
        result = ip_released.merge(Site.of(0 * tau, tau, tau, rng=generator(0)), strength=1.0, rank=m)
        gains = (result - tau).diagonal()[:m] / tau.diagonal()[:m]
        torch.testing.assert_close(gains, torch.full((m,), m**-2.0))


def test_invariant_projects_where_the_subspaces_are_one() -> None:
    """The same input subspace and threshold 0: all of tau_R passes, rescaled to tau_V's nuclear norm."""
    base, vlm, lrm = draw(1)
    tau_v, tau_r = vlm - base, lrm - base
    result = ip_invariant.merge(
        Site.of(base, vlm, lrm, spectrum=decompose(tau_r)), threshold=0.0, strength=1.0
    )
    scale = torch.linalg.matrix_norm(tau_v, "nuc") / torch.linalg.matrix_norm(tau_r, "nuc")
    expected = inject.merge(Site.of(base, vlm, lrm), strength=float(scale))
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("where", ["vlm", "lrm", "both"])
def test_a_task_vector_of_zero_adds_nothing(where: str) -> None:
    base, vlm, lrm = draw(0)
    vlm = base if where in ("vlm", "both") else vlm
    lrm = base if where in ("lrm", "both") else lrm
    spectrum = decompose(lrm - base)
    assert torch.equal(ip_released.merge(Site.of(base, vlm, lrm, rng=generator(0)), threshold=-1.0), vlm)
    assert torch.equal(ip_invariant.merge(Site.of(base, vlm, lrm, spectrum=spectrum), threshold=0.0), vlm)


def test_matrices_that_are_not_selected_have_an_injected_norm_of_zero(triple: Triple) -> None:
    """How a study's norms.csv shows what was selected."""
    for method in ("ip_released", "ip_invariant"):
        none = measure_injected_norms(triple, Recipe.make(triple, method, {"threshold": 1.1}))
        every = measure_injected_norms(triple, Recipe.make(triple, method, {"threshold": -1.0}))
        assert set(none.values()) == {0.0}
        assert min(every.values()) > 0
