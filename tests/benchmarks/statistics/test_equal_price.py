"""The price at equal reasoning: on the front, between its points, for any sweep."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.statistics.equal_price import find_best, find_loss_front, find_price

SWEEP = np.array([0.2, 0.1, 0.5, 0.9, 0.7])  # V, a dip, then up, and past the best
LOSS = np.array([0.0, 0.01, 0.02, 0.10, 0.30])
points = st.integers(1, 6).flatmap(
    lambda n: st.tuples(*(arrays(float, n, elements=st.integers(0, 20).map(lambda i: i / 20)),) * 2)
)


def price(target, carried=None):
    return float(find_price(SWEEP, LOSS, np.array(target), carried))


def test_it_is_interpolated_between_neighbours_on_the_front():
    assert find_loss_front(SWEEP, LOSS).tolist() == [True, False, True, True, False]
    assert price(0.2) == 0 and price(0.5) == pytest.approx(0.02) and price(0.9) == pytest.approx(0.10)
    assert price(0.35) == pytest.approx(0.01) and price(0.7) == pytest.approx(0.06)


def test_beyond_the_sweep_it_is_the_end():
    assert price(0.1) == 0 and price(0.95) == pytest.approx(0.10)


def test_another_loss_is_read_at_the_same_place():
    other = np.array([0.0, 0.9, 0.4, 0.8, 0.9])
    assert price(0.7, other) == pytest.approx(0.6) and price(0.5, other) == pytest.approx(0.4)


def test_many_draws_at_once_are_the_draws_one_by_one():
    rng = np.random.default_rng(0)
    r, lost, target = rng.random((50, 7)), rng.random((50, 7)), rng.random(50)
    together = find_price(r, lost, target)
    assert together == pytest.approx(
        [float(find_price(a, b, c)) for a, b, c in zip(r, lost, target, strict=True)]
    )


@given(points)
def test_every_point_of_the_front_costs_what_it_costs_and_no_point_less(sweep):
    r, lost = sweep
    for place in np.flatnonzero(find_loss_front(r, lost)):
        assert float(find_price(r, lost, r[place])) == pytest.approx(lost[place])
    for own, cost in zip(r, lost, strict=True):
        assert float(find_price(r, lost, np.array(own))) <= cost + 1e-12


@given(points)
def test_more_reasoning_never_costs_less(sweep):
    r, lost = sweep
    prices = [float(find_price(r, lost, np.array(t))) for t in np.linspace(0, float(find_best(r)), 12)]
    assert all(b >= a - 1e-12 for a, b in pairwise(prices))
