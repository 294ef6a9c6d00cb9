"""What is known of each baseline without running it: exact identities and limits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from baselines import dare_linear, inject, interp, layer_range, layer_swap, put_back, ta_sym, vlm
from baselines._trimming import cut
from frism.method import discovery
from frism.method.site import Site
from tests.support.whole_tensors import merge_whole

seeds = st.integers(0, 2**31)
shapes = st.sampled_from([(6,), (4, 7), (16, 16), (1, 9)])
strengths = st.floats(-2, 2, width=32)
densities = st.floats(0.05, 1.0)


def draw(seed: int, shape: tuple[int, ...] = (16, 16)) -> tuple[Tensor, Tensor, Tensor]:
    """B, V, R: small perturbations of one base."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(shape, generator=generator)
    return base, *(base + 0.1 * torch.randn(shape, generator=generator) for _ in range(2))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(seeds, shapes)
def test_vlm_is_v(seed: int, shape: tuple[int, ...]) -> None:
    _, v, _ = draw(seed, shape)
    assert torch.equal(vlm.merge(Site.of(None, v)), v)


@given(seeds, shapes)
def test_put_back_is_the_parent_whole(seed: int, shape: tuple[int, ...]) -> None:
    b, v, r = draw(seed, shape)
    assert torch.equal(put_back.merge(Site.of(b, v, r)), b)
    assert torch.equal(put_back.merge(Site.of(b, v, r), of="lrm"), r)


@given(seeds, shapes, st.floats(0, 1))
def test_interp_is_the_base_free_form_of_two_task_vectors(
    seed: int, shape: tuple[int, ...], weight: float
) -> None:
    base, v, r = draw(seed, shape)
    other_base = draw(seed + 1, shape)[0]
    result = interp.merge(Site.of(None, v, r), vlm_weight=weight)
    for b in (base, other_base):
        torch.testing.assert_close(result, b + weight * (v - b) + (1 - weight) * (r - b))
    assert "base" not in discovery.find("interp").reads
    assert torch.equal(interp.merge(Site.of(None, v, r), vlm_weight=1.0), v)
    assert torch.equal(interp.merge(Site.of(None, v, r), vlm_weight=0.0), r)


@given(seeds, shapes, strengths)
def test_inject_is_linear_and_exact_at_zero(seed: int, shape: tuple[int, ...], strength: float) -> None:
    b, v, r = draw(seed, shape)
    assert torch.equal(inject.merge(Site.of(b, v, r), strength=0.0), v)
    torch.testing.assert_close(
        inject.merge(Site.of(b, v, r), strength=strength) - v, strength * (r - b), atol=1e-5, rtol=1e-4
    )
    assert torch.equal(inject.merge(Site.of(v, v, r), strength=strength), v + strength * (r - v))


@given(seeds, shapes)
def test_ta_sym_ends_are_base_and_full_injection(seed: int, shape: tuple[int, ...]) -> None:
    b, v, r = draw(seed, shape)
    assert torch.equal(ta_sym.merge(Site.of(b, v, r), strength=0.0), b)
    torch.testing.assert_close(
        ta_sym.merge(Site.of(b, v, r), strength=1.0), inject.merge(Site.of(b, v, r), strength=1.0)
    )
    torch.testing.assert_close(
        ta_sym.merge(Site.of(b, v, r), strength=0.5), interp.merge(Site.of(None, v, r), vlm_weight=0.5)
    )


@given(seeds, st.integers(-1, 6), st.floats(0, 1))
def test_layer_swap_keeps_the_first_layers_inclusively(seed: int, last_kept: int, weight: float) -> None:
    _, v, r = draw(seed)
    for layer in (None, *range(6)):
        result = layer_swap.merge(Site.of(None, v, r, layer=layer), last_kept=last_kept, vlm_weight=weight)
        kept = layer is not None and layer <= last_kept
        assert torch.equal(result, v if kept else interp.merge(Site.of(None, v, r), vlm_weight=weight))


@given(seeds, st.integers(3, 80))
def test_layer_range_thirds_partition_the_layers(seed: int, layers: int) -> None:
    b, v, r = draw(seed, (4,))

    def touches(part: str, layer: int) -> bool:
        return not torch.equal(
            layer_range.merge(Site.of(b, v, r, layer=layer, layers=layers), part=part, strength=1.0), v
        )

    touched = {part: [n for n in range(layers) if touches(part, n)] for part in layer_range.PARTS}
    assert touched["early"] + touched["middle"] + touched["late"] == list(range(layers))
    sizes = [len(found) for found in touched.values()]
    assert max(sizes) - min(sizes) <= 1
    assert torch.equal(
        layer_range.merge(Site.of(b, v, r, layer=None, layers=layers), part="late", strength=1.0), v
    )


def test_layer_range_parts_are_the_declared_choices() -> None:
    assert discovery.find("layer_range").parameters["part"].choices == layer_range.PARTS


@given(seeds, shapes, strengths)
def test_ties_at_density_one_and_equal_signs_is_the_mean(
    seed: int, shape: tuple[int, ...], strength: float
) -> None:
    b, v, r = draw(seed, shape)
    v, r = b + (v - b).abs(), b + (r - b).abs()
    expected = b + strength * ((v - b) + (r - b)) / 2
    torch.testing.assert_close(
        merge_whole("ties", Site.of(b, v, r), density=1.0, strength=strength), expected, atol=1e-5, rtol=1e-5
    )


@given(seeds, shapes, densities, st.floats(0.1, 2), st.floats(0.1, 2))
def test_ties_entry_by_entry(
    seed: int, shape: tuple[int, ...], density: float, weight_v: float, weight_r: float
) -> None:
    """An independent, slow reading of the paper: trim, elect, disjoint mean, one entry at a time."""
    b, v, r = draw(seed, shape)
    result = merge_whole("ties", Site.of(b, v, r), density=density, vlm_weight=weight_v, lrm_weight=weight_r)
    deltas = [(v - b).flatten().tolist(), (r - b).flatten().tolist()]
    kept = max(1, round(density * b.numel()))
    for delta in deltas:
        for index in sorted(range(len(delta)), key=lambda i: abs(delta[i]), reverse=True)[kept:]:
            delta[index] = 0.0
    expected = []
    for tau_v, tau_r in zip(*deltas, strict=True):
        total = tau_v + tau_r
        agreeing = [w * tau for w, tau in ((weight_v, tau_v), (weight_r, tau_r)) if tau * total > 0]
        expected.append(sum(agreeing) / max(1, len(agreeing)))
    torch.testing.assert_close(result, b + torch.tensor(expected).view(shape), atol=1e-5, rtol=1e-4)


@given(
    st.lists(st.floats(-10, 10, width=32) | st.sampled_from([0.0, 1.0, -1.0, 0.5]), min_size=1, max_size=60),
    st.floats(0.01, 1.0),
    st.booleans(),
)
def test_ties_trims_as_sorting_would(entries: list[float], density: float, exact: bool) -> None:
    delta = torch.tensor(entries)
    order = sorted(range(len(entries)), key=lambda i: (-abs(delta[i].item()), i))
    wanted = max(1, int(density * len(entries)) if exact else round(density * len(entries)))
    stays = set(order[:wanted])
    if not exact:
        smallest = abs(delta[order[wanted - 1]])
        stays |= {i for i in order if abs(delta[i]) == smallest}
    expected = delta * torch.tensor([float(i in stays) for i in range(len(entries))])
    assert torch.equal(cut(delta, density, exact).keep(delta), expected)


@pytest.mark.parametrize("trimming", ["threshold", "exact"])
def test_ties_in_pieces_is_ties_of_the_whole(trimming: str) -> None:
    b, v, r = ((8 * tensor).round() for tensor in draw(0, (16, 16)))  # many equal magnitudes
    method = discovery.find("ties")
    params = method.validate({"density": 0.3, "trimming": trimming})
    whole = method.run_merge(Site.of(b, v, r), params)
    starts, size = range(0, b.numel(), 37), 37
    flat = [tensor.flatten() for tensor in (b, v, r)]
    pieces = [Site.of(*(tensor[start : start + size] for tensor in flat), start=start) for start in starts]
    measured = method.run_measure(lambda: iter(pieces), params)
    for piece in pieces:
        piece.measured = measured
    merged = torch.cat([method.run_merge(piece, params) for piece in pieces])
    assert torch.equal(merged, whole.flatten())


def test_ties_of_an_unchanged_donor_is_v_and_opposite_entries_cancel() -> None:
    b, v, _ = draw(0)
    torch.testing.assert_close(merge_whole("ties", Site.of(b, v, b), density=1.0), v)
    one = torch.ones(4)
    assert torch.equal(merge_whole("ties", Site.of(0 * one, one, -one), density=1.0), 0 * one)


@given(seeds, shapes, strengths, st.booleans())
def test_dare_keeping_everything_is_plain_injection(
    seed: int, shape: tuple[int, ...], strength: float, rescale: bool
) -> None:
    b, v, r = draw(seed, shape)
    expected = inject.merge(Site.of(b, v, r), strength=strength)
    result = dare_linear.merge(
        Site.of(b, v, r, rng=seeded(seed)), density=1.0, strength=strength, rescale=rescale
    )
    assert torch.equal(result, expected)
    both = dare_linear.merge(
        Site.of(b, v, r, rng=seeded(seed)), density=1.0, strength=strength, drop_vlm=True
    )
    torch.testing.assert_close(both, expected)


@settings(deadline=None, max_examples=10)
@given(seeds, st.sampled_from([0.2, 0.5, 0.8]), st.booleans())
def test_dare_mean_over_seeds_is_linear(seed: int, density: float, drop_vlm: bool) -> None:
    b, v, r = draw(seed, (8, 8))
    draws = 3000
    total = torch.zeros_like(b)
    generator = seeded(seed)
    for _ in range(draws):
        total += dare_linear.merge(
            Site.of(b, v, r, rng=generator), density=density, strength=1.0, drop_vlm=drop_vlm
        )
    # Standard error of a rescaled Bernoulli mean, entry by entry; six of them for 64 entries and 10 examples.
    spread = (1 / density - 1) ** 0.5 * ((r - b).abs() + (v - b).abs() * drop_vlm) / draws**0.5
    assert ((total / draws - inject.merge(Site.of(b, v, r), strength=1.0)).abs() <= 6 * spread + 1e-4).all()


@given(seeds, densities)
def test_dare_entries_are_dropped_or_rescaled(seed: int, density: float) -> None:
    b, v, r = draw(seed, (32, 32))
    update = dare_linear.merge(Site.of(b, v, r, rng=seeded(seed)), density=density, strength=1.0) - v
    dropped = update.abs() < 1e-7
    torch.testing.assert_close(update[~dropped], ((r - b) / density)[~dropped], atol=1e-5, rtol=1e-3)
    assert (
        abs((~dropped).float().mean().item() - density) < 6 * (density * (1 - density) / 1024) ** 0.5 + 0.01
    )
    plain = (
        dare_linear.merge(Site.of(b, v, r, rng=seeded(seed)), density=density, strength=1.0, rescale=False)
        - v
    )
    torch.testing.assert_close(plain, update * density, atol=1e-5, rtol=1e-3)


def test_dare_seeds_differ_and_repeat() -> None:
    b, v, r = draw(0)
    first, again, other = (dare_linear.merge(Site.of(b, v, r, rng=seeded(seed))) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
