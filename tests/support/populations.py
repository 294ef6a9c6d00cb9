"""Made-up populations whose truth is known: bases, triples of a base, questions that all triples answer."""

from collections.abc import Iterator

import numpy as np

from benchmarks.statistics.hierarchy import TripleEffect


def draw_population(
    rng: np.random.Generator,
    *,
    bases: int,
    triples: int,
    mean: float = 0.1,
    between: float = 0.1,
    within: float = 0.05,
    noise: float = 0.01,
    shared: float = 0.0,
    resamples: int = 200,
) -> list[TripleEffect]:
    """Draw one experiment's effects: standard deviations between bases, triples of one, and of questions.

    `noise`: of one triple's own answers; `shared`: of what the drawn questions shift alike in all triples.
    The draws have the variances that resampling questions would give.
    """
    common, common_draws = rng.normal(0, shared), rng.normal(0, shared, resamples)
    effects = []
    for base in range(bases):
        own = rng.normal(mean, between)
        for triple in range(triples):
            estimate = rng.normal(own, within) + rng.normal(0, noise) + common
            draws = estimate + rng.normal(0, noise, resamples) + common_draws
            effects.append(TripleEffect(f"b{base}", f"b{base}t{triple}", estimate, draws, 1500))
    return effects


def repeat(count: int, seed: int, **settings: float) -> Iterator[list[TripleEffect]]:
    """Repeat the experiment, each time on other bases, triples and questions."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield draw_population(rng, **settings)  # type: ignore[arg-type]
