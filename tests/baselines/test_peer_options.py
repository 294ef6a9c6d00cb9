"""Known without running a peer: `slerp`, `linear`, `dare_ties`, and the options that do what peers do."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from baselines import dare_linear, dare_ties, inject, interp, linear, ta_sym
from frism.errors import UserError
from frism.method import discovery
from frism.method.site import Site
from tests.support.whole_tensors import merge_whole

settings.register_profile("patient", deadline=None, max_examples=50)  # a busy machine is not a failure
settings.load_profile("patient")

seeds = st.integers(0, 2**31)
shapes = st.sampled_from([(6,), (4, 7), (16, 16), (1, 9)])
densities = st.floats(0.05, 1.0)
fractions = st.floats(0, 1)


def draw(seed: int, shape: tuple[int, ...] = (16, 16), apart: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """B, V, R: perturbations of one base, of size `apart` to it."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(shape, generator=generator)
    return base, *(base + apart * torch.randn(shape, generator=generator) for _ in range(2))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def angle(one: Tensor, other: Tensor) -> float:
    one, other = one.double().flatten(), other.double().flatten()
    return math.acos(max(-1.0, min(1.0, float(one @ other / one.norm() / other.norm()))))


@given(seeds, shapes, fractions)
def test_slerp_ends_symmetry_and_arc(seed: int, shape: tuple[int, ...], t: float) -> None:
    _, v, r = draw(seed, shape)
    torch.testing.assert_close(merge_whole("slerp", Site.of(None, v, r), t=0.0), v)
    torch.testing.assert_close(merge_whole("slerp", Site.of(None, v, r), t=1.0), r)
    merged = merge_whole("slerp", Site.of(None, v, r), t=t)
    torch.testing.assert_close(
        merged, merge_whole("slerp", Site.of(None, r, v), t=1 - t), atol=1e-4, rtol=1e-4
    )
    if abs(math.cos(angle(v, r))) < 0.99:
        # On one sphere, the arc is travelled at constant speed and never left.
        v, r = v / v.norm(), r / r.norm()
        merged = merge_whole("slerp", Site.of(None, v, r), t=t)
        assert merged.norm().item() == pytest.approx(1, abs=1e-5)
        assert angle(v, merged) == pytest.approx(t * angle(v, r), abs=2e-3)


@given(seeds, shapes, fractions)
def test_slerp_of_nearly_parallel_tensors_is_interpolation(
    seed: int, shape: tuple[int, ...], t: float
) -> None:
    _, v, r = draw(seed, shape)
    for other in (v + 1e-4 * r, -2 * v, 3 * v):
        expected = interp.merge(Site.of(None, v, other), vlm_weight=1 - t)
        torch.testing.assert_close(merge_whole("slerp", Site.of(None, v, other), t=t), expected)
    torch.testing.assert_close(
        merge_whole("slerp", Site.of(None, v, r), t=t, straight=-1.0),
        interp.merge(Site.of(None, v, r), vlm_weight=1 - t),
    )


@given(fractions)
def test_slerp_with_a_tensor_that_has_no_direction_is_finite(t: float) -> None:
    _, v, _ = draw(0)
    for pair in ((v, 0 * v), (0 * v, v), (0 * v, 0 * v)):
        assert torch.isfinite(merge_whole("slerp", Site.of(None, *pair), t=t)).all()


@given(seeds, shapes, st.floats(-2, 2, width=32), st.floats(-2, 2, width=32))
def test_linear_holds_the_other_linear_methods(seed: int, shape: tuple[int, ...], w: float, s: float) -> None:
    b, v, r = draw(seed, shape)
    sums_to_one = linear.merge(
        Site.of(b, v, r), weights=linear.Weights(base_weight=1 - w - s, vlm_weight=w, lrm_weight=s)
    )
    torch.testing.assert_close(sums_to_one, b + w * (v - b) + s * (r - b), atol=1e-4, rtol=1e-4)
    pairs = [
        (
            linear.merge(Site.of(b, v, r), weights=linear.Weights(vlm_weight=w, lrm_weight=1 - w)),
            interp.merge(Site.of(None, v, r), vlm_weight=w),
        ),
        (
            linear.merge(
                Site.of(b, v, r), weights=linear.Weights(base_weight=-s, vlm_weight=1.0, lrm_weight=s)
            ),
            inject.merge(Site.of(b, v, r), strength=s),
        ),
        (
            linear.merge(
                Site.of(b, v, r), weights=linear.Weights(base_weight=1 - 2 * s, vlm_weight=s, lrm_weight=s)
            ),
            ta_sym.merge(Site.of(b, v, r), strength=s),
        ),
    ]
    for result, expected in pairs:
        torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)


def test_linear_weights_are_relative_unless_told_otherwise() -> None:
    b, v, r = draw(0)
    half = linear.merge(Site.of(b, v, r), weights=linear.Weights())
    torch.testing.assert_close(half, (v + r) / 2)
    torch.testing.assert_close(
        linear.merge(Site.of(b, v, r), weights=linear.Weights(vlm_weight=3.0, lrm_weight=3.0)), half
    )
    torch.testing.assert_close(
        linear.merge(
            Site.of(b, v, r), weights=linear.Weights(vlm_weight=3.0, lrm_weight=3.0, normalize=False)
        ),
        6 * half,
    )
    assert torch.equal(
        linear.merge(Site.of(b, v, r), weights=linear.Weights(vlm_weight=1.0, lrm_weight=0.0)), v
    )
    with pytest.raises(UserError, match=r"linear: the weights sum to 0.0: choose others, or set 'normalize'"):
        discovery.find("linear").validate({"vlm_weight": 1.0, "lrm_weight": -1.0})


@given(seeds, shapes, densities)
def test_exact_trimming_keeps_the_rounded_down_count_and_the_first_of_equals(
    seed: int, shape: tuple[int, ...], density: float
) -> None:
    b, v, _ = draw(seed, shape)
    kept = max(1, int(density * b.numel()))
    assert (
        int((merge_whole("ties", Site.of(0 * b, v, 0 * b), density=density, trimming="exact") != 0).sum())
        == kept
    )
    ones = torch.ones(shape)
    result = merge_whole(
        "ties", Site.of(0 * ones, ones, 0 * ones), density=density, trimming="exact"
    ).flatten()
    assert torch.equal(result, (torch.arange(ones.numel()) < kept).float())
    assert torch.equal(merge_whole("ties", Site.of(0 * ones, ones, 0 * ones), density=density), ones)


def test_election_before_or_after_the_weights() -> None:
    """tau_V = 3, tau_R = -2: plain, V wins; with R weighed twice as much, R does."""
    zero, three, minus_two = torch.zeros(1), torch.tensor([3.0]), torch.tensor([-2.0])

    def merged(**options: object) -> float:
        return merge_whole(
            "ties", Site.of(zero, three, minus_two), density=1.0, lrm_weight=2.0, **options
        ).item()

    assert merged() == 3
    assert merged(election="weighted") == -4
    assert merged(election="weighted", divide_by="weights") == -2


def test_what_the_agreeing_entries_are_divided_by() -> None:
    zero, one, three = torch.zeros(1), torch.tensor([1.0]), torch.tensor([3.0])

    def merged(divide_by: str) -> float:
        weights = {"vlm_weight": 0.5, "lrm_weight": 2.0}
        return merge_whole(
            "ties", Site.of(zero, one, three), density=1.0, divide_by=divide_by, **weights
        ).item()

    assert merged("count") == 6.5 / 2
    assert merged("weights") == pytest.approx(6.5 / 2.5)
    assert merged("one") == 6.5


def test_a_draw_changes_nothing_or_is_won_by_plus() -> None:
    zero, one = torch.zeros(1), torch.ones(1)
    for pair in ((one, -one), (-one, one)):
        assert merge_whole("ties", Site.of(zero, *pair), density=1.0).item() == 0
        assert merge_whole("ties", Site.of(zero, *pair), density=1.0, zero_sum="positive").item() == 1
    assert merge_whole("ties", Site.of(zero, zero, zero), density=1.0, zero_sum="positive").item() == 0


@given(seeds, shapes, st.sampled_from(["plain", "weighted"]), st.sampled_from(["count", "weights", "one"]))
def test_dare_ties_that_drops_nothing_is_ties_that_trims_nothing(
    seed: int, shape: tuple[int, ...], election: str, divide_by: str
) -> None:
    b, v, r = draw(seed, shape)
    options = {"election": election, "divide_by": divide_by, "vlm_weight": 1.6, "strength": 0.7}
    dare = dare_ties.merge(Site.of(b, v, r, rng=seeded(seed)), density=1.0, **options)
    torch.testing.assert_close(dare, merge_whole("ties", Site.of(b, v, r), density=1.0, **options))


@given(seeds, st.sampled_from([0.2, 0.5, 0.8]))
def test_restoring_the_l1_norm_restores_it(seed: int, density: float) -> None:
    b, _, r = draw(seed)
    result = dare_linear.merge(
        Site.of(b, b, r, rng=seeded(seed)), density=density, strength=1.0, restore="l1"
    )
    torch.testing.assert_close((result - b).abs().sum(), (r - b).abs().sum(), atol=1e-2, rtol=1e-4)
    plain = dare_linear.merge(Site.of(b, b, r, rng=seeded(seed)), density=density, strength=1.0)
    assert torch.equal(result - b == 0, plain - b == 0)


def test_a_dropped_vlm_has_a_weight_of_its_own() -> None:
    b, v, r = draw(0)
    result = dare_linear.merge(
        Site.of(b, v, r, rng=seeded(0)), density=1.0, drop_vlm=True, vlm_weight=1.6, strength=0.2
    )
    torch.testing.assert_close(result, b + 1.6 * (v - b) + 0.2 * (r - b))
    untouched = dare_linear.merge(Site.of(b, v, r, rng=seeded(0)), density=1.0, vlm_weight=1.6, strength=0.2)
    torch.testing.assert_close(untouched, v + 0.2 * (r - b))


def test_dare_ties_seeds_differ_and_repeat() -> None:
    b, v, r = draw(0)
    first, again, other = (dare_ties.merge(Site.of(b, v, r, rng=seeded(seed))) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_new_option_defaults_to_what_the_method_did_before() -> None:
    defaults = {name: discovery.find(name).validate({}) for name in ("ties", "dare_linear")}
    assert defaults["ties"] == {
        "density": 0.2, "strength": 1.0, "vlm_weight": 1.0, "lrm_weight": 1.0, "trimming": "threshold",
        "election": "plain", "zero_sum": "drop", "divide_by": "count",
    }  # fmt: skip
    assert defaults["dare_linear"] == {
        "density": 0.5, "strength": 0.3, "rescale": True, "drop_vlm": False, "vlm_weight": 1.0,
        "restore": "mean",
    }  # fmt: skip
