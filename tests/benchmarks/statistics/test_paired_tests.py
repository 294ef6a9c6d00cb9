"""Exact tests against statsmodels, scipy and published cases; non-inferiority against brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, norm, permutation_test
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests

from benchmarks.statistics.paired_tests import (
    SMALLEST_P,
    Changes,
    _estimate_gain,
    compute_weights,
    flip_units,
    holm,
    largest_loss,
    mcnemar,
    non_inferiority,
    sign_flip,
)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_statsmodels_and_scipys(gained, lost):
    expected = reference_mcnemar([[5, gained], [lost, 5]], exact=True).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(min(expected, 1.0), abs=1e-12, rel=1e-10)
    if gained + lost:
        assert mcnemar(gained, lost) == pytest.approx(
            binomtest(gained, gained + lost).pvalue, abs=1e-12, rel=1e-10
        )


def test_mcnemar_by_hand():
    assert mcnemar(5, 0) == pytest.approx(2 / 2**5, abs=1e-15)
    assert mcnemar(1, 5) == pytest.approx(2 * (1 + 6) / 2**6, abs=1e-15)
    assert mcnemar([5, 1, 0], [0, 5, 0]) == pytest.approx([2 / 32, 14 / 64, 1])


def by_enumeration(units):
    """The sign-flip p by listing every pattern of signs."""
    observed = abs(sum(units))
    patterns = [abs(np.dot(signs, units)) for signs in itertools.product((-1, 1), repeat=len(units))]
    return np.mean([total >= observed for total in patterns])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=11))
def test_sign_flip_lists_every_pattern(units):
    assert sign_flip(units) == pytest.approx(by_enumeration(units), abs=1e-10)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=2, max_size=9))
def test_sign_flip_is_scipys_permutation_test(units):
    zeros = np.zeros(len(units))
    found = permutation_test(
        (np.array(units, float), zeros),
        lambda x, y: np.sum(x - y),
        permutation_type="samples",
        n_resamples=np.inf,
    )
    assert sign_flip(units) == pytest.approx(found.pvalue, abs=1e-10)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 7))
def test_sign_flip_of_one_size_is_mcnemar(gained, lost, size):
    assert sign_flip([size] * gained + [-size] * lost) == mcnemar(gained, lost)


def test_sign_flip_by_hand():
    # Units 3, 1, 1: sums +-5 (2 patterns of 8) are as large as 5; 3 is reached by two more each way.
    assert sign_flip([3, 1, 1]) == pytest.approx(2 / 8, abs=1e-12)
    assert sign_flip([3, 1, -1]) == pytest.approx(6 / 8, abs=1e-12)
    assert sign_flip([0, 0]) == 1 and sign_flip([2, -1, -1]) == 1


def test_sign_flip_of_many_clusters_is_a_bound_at_least():
    units = np.r_[np.full(300, 2), np.full(300, 3)]
    assert sign_flip(units) == SMALLEST_P  # 2 / 2^600 in truth


def test_clusters_become_units():
    changes = np.array([1, 1, -1, 0, 1.0, -1])
    codes = np.array([7, 7, 7, 2, 2, 9])
    assert sorted(flip_units([changes], [codes])) == [-1, 1, 1]
    assert list(flip_units([changes], [None])) == [1, 1, -1, 0, 1, -1]
    both = flip_units([changes, np.array([1.0, 0])], [codes, None])
    assert sorted(both) == sorted(
        [-1, 1, 1, 3, 0]
    )  # the small benchmark's questions weigh three times as much
    many = flip_units([np.column_stack([changes, -changes])], [codes])
    assert many.shape == (3, 2) and (many[:, 0] == -many[:, 1]).all()


def test_weights():
    assert compute_weights([300, 300, 300]) == [1, 1, 1]
    assert compute_weights([1000, 500]) == [1, 2]
    shares = np.array(compute_weights([304, 1000, 765])) * np.array([304, 1000, 765])
    assert shares / shares.mean() == pytest.approx(1, abs=0.07)


def test_a_small_benchmark_weighs_as_much_as_a_large_one():
    # 40 lost of 4000 against 40 gained of 400: the mean over benchmarks rose, the pooled flips are even.
    large, small = np.r_[np.full(40, -1), np.zeros(3960)], np.r_[np.full(40, 1), np.zeros(360)]
    assert sign_flip(flip_units([large, small], [None, None])) < 1e-6
    assert mcnemar(40, 40) == 1


# Tango 1998, Stat. Med. 17:891, table III (Miyanaga 1994): 44 pairs, none gained, one lost, margin 0.1.
LENSES = Changes(gained=0, lost=1, n=44)


def test_non_inferiority_published_example():
    assert norm.isf(non_inferiority([LENSES], 0.1)) == pytest.approx(1.709, abs=5e-4)
    # By hand: nothing gained, so its likeliest share is 0 and the variance 44 (0.1 - 0.01).
    assert non_inferiority([LENSES], 0.1) == pytest.approx(norm.sf(3.4 / np.sqrt(44 * 0.09)), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 200), st.floats(-0.5, 0.5))
def test_restricted_gain_is_the_most_likely(gained, lost, same, loss):
    changes = Changes(gained, lost, max(gained + lost + same, 1))
    low, high = max(0.0, -loss) + 1e-12, (1 - loss) / 2 - 1e-12

    def surprise(gain):
        cells = ((gained, gain), (lost, gain + loss), (changes.n - gained - lost, 1 - 2 * gain - loss))
        return -sum(count * np.log(max(chance, 1e-300)) for count, chance in cells if count)

    found = _estimate_gain(changes, loss)
    best = minimize_scalar(surprise, bounds=(low, high), method="bounded", options={"xatol": 1e-12})
    assert low - 1e-9 <= found <= high + 1e-9
    assert surprise(np.clip(found, low, high)) <= best.fun + 1e-7


def test_no_flip_on_few_questions_proves_nothing():
    assert non_inferiority([Changes(0, 0, 50)], 0.02) > 0.1
    assert non_inferiority([Changes(0, 0, 1500)], 0.02) < 1e-6
    # By hand: variance of the loss is 0.02 - 0.02^2 per question.
    z = 0.02 / np.sqrt((0.02 - 0.0004) / 50)
    assert non_inferiority([Changes(0, 0, 50)], 0.02) == pytest.approx(norm.sf(z), abs=1e-12)


def test_several_benchmarks_alike_are_one_of_all_their_questions():
    one, many = Changes(6, 20, 900), [Changes(2, 20 / 3, 300)] * 3
    assert non_inferiority(many, 0.03) == pytest.approx(non_inferiority([one], 0.03), abs=1e-12)


def test_dependence_widens_it():
    p, wider = (non_inferiority([Changes(3, 5, 300, effect)], 0.02) for effect in (1, 3))
    assert p < wider


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=4),
    st.sampled_from([0.9, 0.95]),
)
def test_largest_loss_is_the_margin_at_the_edge(flips, confidence):
    benchmarks = [Changes(g, l, 100) for g, l in flips]
    limit = largest_loss(benchmarks, confidence)
    loss = -np.mean([b.difference for b in benchmarks])
    assert loss < limit < 1
    assert non_inferiority(benchmarks, limit) == pytest.approx(1 - confidence, abs=1e-5)
    assert non_inferiority(benchmarks, limit + 0.01) < 1 - confidence
    assert largest_loss([Changes(0, 100, 100)], confidence) == 1


def test_holm_by_hand_and_without_tests():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06], abs=1e-15)
    mixed = holm([np.nan, 0.01, 0.02])
    assert np.isnan(mixed[0]) and mixed[1:] == pytest.approx([0.02, 0.02], abs=1e-15)
    assert np.isnan(holm([np.nan])).all() and len(holm([])) == 0


@pytest.mark.parametrize("size", [1, 5, 300])
def test_holm_is_statsmodels(size):
    p = np.round(np.random.default_rng(size).beta(0.3, 3, size), 3)  # rounded: with ties
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-15)
