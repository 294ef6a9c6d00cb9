"""The random-effects model agrees with an independent implementation to 1e-8, and with published numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import brentq
from scipy.stats import chi2
from scipy.stats import t as student

from benchmarks.statistics.random_effects import pool_bases, pool_effects, pool_triples
from tests.support.populations import draw_population

# Log relative risks of 13 trials of the BCG vaccine and their variances (Colditz et al. 1994).
BCG = np.array([
    [-0.8893, 0.3256], [-1.5854, 0.1946], [-1.3481, 0.4154], [-1.4416, 0.0200], [-0.2175, 0.0512],
    [-0.7861, 0.0069], [-1.6209, 0.2230], [0.0120, 0.0040], [-0.4694, 0.0564], [-1.3713, 0.0730],
    [-0.3394, 0.0124], [0.4459, 0.5325], [-0.0173, 0.0714],
])  # fmt: skip


def reference(y: np.ndarray, v: np.ndarray) -> dict[str, float]:
    """Paule and Mandel's tau^2 by root finding, Hartung and Knapp's interval: from the formulas alone."""

    def excess(tau2: float) -> float:
        w = 1 / (v + tau2)
        return float(w @ (y - w @ y / w.sum()) ** 2 - (len(y) - 1))

    tau2 = brentq(excess, 0, 1e6, xtol=1e-18, rtol=1e-15, maxiter=1000) if excess(0) > 0 else 0.0
    w = 1 / (v + tau2)
    mean = w @ y / w.sum()
    spread = math.sqrt(w @ (y - mean) ** 2 / (len(y) - 1) / w.sum())
    reach = student.ppf(0.975, len(y) - 1) * spread
    q = excess(0) + len(y) - 1
    return {"tau2": tau2, "estimate": mean, "low": mean - reach, "high": mean + reach, "q": q,
            "p": chi2.sf(q, len(y) - 1), "i2": max(0.0, 1 - (len(y) - 1) / q) if q > 0 else 0.0}  # fmt: skip


def compare(y: np.ndarray, v: np.ndarray) -> None:
    fit, expected = pool_effects(y, v), reference(y, v)
    found = {"tau2": fit.tau2, "estimate": fit.estimate, "low": fit.interval[0], "high": fit.interval[1],
             "q": fit.q, "p": fit.p, "i2": fit.i2}  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-8)


@given(
    arrays(float, 6, elements=st.floats(-1, 1)),
    arrays(float, 6, elements=st.floats(1e-4, 0.1)),
    st.integers(2, 6),
)
def test_it_agrees_with_the_reference_to_1e_8(y, v, k):
    compare(y[:k], v[:k])


def test_the_bcg_trials():
    """A data set of textbooks: Q 152, I^2 92 %, about -0.715 (the data here are rounded to four places)."""
    compare(*BCG.T)
    fit = pool_effects(*BCG.T)
    assert fit.q == pytest.approx(152.2, abs=0.5) and fit.i2 == pytest.approx(0.921, abs=0.001)
    assert fit.estimate == pytest.approx(-0.715, abs=0.002)


def test_alike_effects_have_no_variance_between_them():
    fit = pool_effects([0.1, 0.1, 0.1], [0.01, 0.02, 0.01])
    assert fit.tau2 == fit.q == fit.i2 == 0 and fit.estimate == pytest.approx(0.1) and fit.p == 1


def test_one_effect_has_no_interval_and_two_no_prediction():
    one, two = pool_effects([0.1], [0.01]), pool_effects([0.1, 0.3], [0.01, 0.01])
    assert one.estimate == 0.1 and all(map(math.isnan, one.interval)) and math.isnan(one.i2)
    assert two.interval[0] < 0.2 < two.interval[1] and all(map(math.isnan, two.prediction))


@pytest.mark.parametrize(("y", "v"), [([], []), ([0.1, 0.2], [0.1]), ([0.1, 0.2], [0.1, 0.0])])
def test_what_cannot_be_pooled_is_refused(y, v):
    with pytest.raises(ValueError, match="above 0 are needed"):
        pool_effects(y, v)


def test_of_bases_the_means_are_pooled_and_of_triples_each():
    effects = draw_population(np.random.default_rng(0), bases=3, triples=4, between=0.2, within=0.01)
    bases, triples = pool_bases(effects), pool_triples(effects)
    assert (bases.k, triples.k) == (3, 12)
    assert bases.estimate == pytest.approx(triples.estimate, abs=0.02)
    # Twelve triples taken as independent seem to know more than three bases do.
    assert bases.interval[1] - bases.interval[0] > 1.5 * (triples.interval[1] - triples.interval[0])
    assert triples.i2 > 0.9 and triples.prediction[0] < triples.interval[0]
