"""Rank blocks: they partition the spectrum, add up to plain injection, and hold what their split promises."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines import inject
from frism.merging.on_load import merge
from frism.method.recipe import Recipe
from frism.method.site import Site
from frism.methods import rank_block
from frism.spectra.spectrum import Spectrum, decompose
from frism.triples.triple import Triple

seeds = st.integers(0, 2**31)
counts = st.integers(1, 9)
splits = st.sampled_from(["count", "energy"])


def draw(seed: int, shape: tuple[int, int] = (7, 9)) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(shape, generator=generator)
    return [base, *(base + 0.1 * torch.randn(shape, generator=generator) for _ in range(2))]


def cut(spectrum: Spectrum, rank: int) -> Spectrum:
    if rank >= len(spectrum.s):
        return spectrum
    rest = spectrum.s[rank:].square().sum()
    return Spectrum(spectrum.u[:, :rank], spectrum.s[:rank], spectrum.vh[:rank], rest)


@settings(deadline=None)
@given(seeds, counts, splits, st.integers(1, 7))
def test_all_blocks_at_full_strength_are_plain_injection(
    seed: int, blocks: int, split: str, rank: int
) -> None:
    base, vlm, lrm = draw(seed)
    spectrum = cut(decompose(lrm - base), rank)
    total = torch.zeros_like(base)
    for block in range(blocks):
        part = rank_block.Part(block=block, blocks=blocks, split=split)
        total += rank_block.merge(Site.of(base, vlm, lrm, spectrum=spectrum), strength=1.0, part=part) - vlm
    expected = inject.merge(Site.of(base, vlm, lrm), strength=1.0)
    torch.testing.assert_close(vlm + total, expected, atol=1e-5, rtol=1e-5)


@given(st.integers(1, 60), counts)
def test_equal_counts_differ_by_one_at_most(k: int, blocks: int) -> None:
    s = torch.linspace(2, 1, k)
    places = rank_block.assign_blocks(Spectrum(torch.empty(k, k), s, torch.empty(k, k)), blocks, "count")
    sizes = torch.bincount(places, minlength=blocks)
    assert len(sizes) == blocks
    assert sizes.max() - sizes.min() <= 1
    assert torch.equal(places, places.sort().values)


@given(seeds, st.integers(1, 60), counts, st.floats(0, 3))
def test_equal_energies_are_off_by_one_direction_at_most(seed: int, k: int, blocks: int, tail: float) -> None:
    s = torch.rand(k, generator=torch.Generator().manual_seed(seed)).sort(descending=True).values + 1e-3
    rest = torch.tensor(tail) if tail else None
    places = rank_block.assign_blocks(
        Spectrum(torch.empty(k, k), s, torch.empty(k, k), rest), blocks, "energy"
    )
    assert torch.equal(places, places.sort().values)
    energy = s.double().square()
    share = (energy.sum() + tail) / blocks
    largest = max(float(energy.max()), tail)
    for block in range(blocks):
        held = energy[places == block].sum() + (tail if block == blocks - 1 else 0)
        assert held <= share + largest + 1e-9


def test_one_block_is_one_slice_of_the_spectrum() -> None:
    base, vlm, lrm = draw(0, (6, 6))
    spectrum = decompose(lrm - base)
    result = rank_block.merge(
        Site.of(base, vlm, lrm, spectrum=spectrum), strength=0.7, part=rank_block.Part(block=1, blocks=3)
    )
    u, s, vh = torch.linalg.svd((lrm - base).double())
    expected = vlm.double() + 0.7 * (u[:, 2:4] * s[2:4]) @ vh[2:4]
    torch.testing.assert_close(result.double(), expected, atol=1e-5, rtol=1e-5)


def test_a_matrix_without_a_task_vector_stays() -> None:
    base, vlm, _ = draw(0)
    for split in ("count", "energy"):
        merged_matrix = rank_block.merge(
            Site.of(base, vlm, base, spectrum=decompose(base - base)), part=rank_block.Part(split=split)
        )
        assert torch.equal(merged_matrix, vlm)


@pytest.mark.parametrize(("block", "blocks"), [(6, 6), (1, 1)])
def test_a_block_that_is_not_there_is_named(block: int, blocks: int) -> None:
    with pytest.raises(ValueError, match=f"there is no block {block} of {blocks}"):
        rank_block.Part(block=block, blocks=blocks)


def test_biases_and_norms_of_a_wider_scope_stay(triple: Triple) -> None:
    recipe = Recipe.make(triple, "rank_block", {"strength": 1.0}, scope="mat+bias+norm")
    for name, tensor in merge(triple, recipe):
        if tensor.ndim == 1:
            assert torch.equal(tensor, triple.read("vlm", name)), name
