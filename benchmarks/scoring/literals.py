"""Compare answers that VLMEvalKit would run as Python: as literals and as formulas."""

import contextlib
from functools import lru_cache

from benchmarks.scoring.stated_numbers import is_formula
from benchmarks.vlmevalkit.literals import parse_literal


@lru_cache(maxsize=4096)
def is_equal(answer: object, truth: object) -> bool:
    """Compare by MathVision's rule: equal as texts, as numbers, or as LaTeX.

    VLMEvalKit runs the answer as Python, in a process of its own that it stops after 30 s; here nothing runs,
    and long formulas are not read.
    """
    answer, truth = str(answer).lower().strip(), str(truth).lower().strip()
    if answer == truth:
        return True
    with contextlib.suppress(Exception):
        if abs(parse_literal(truth) - parse_literal(answer)) < 1e-6:
            return True
    if not is_formula(answer):
        return False
    from latex2sympy2_extended import latex2sympy

    with contextlib.suppress(Exception):
        return bool(abs(float((latex2sympy(truth) - latex2sympy(answer)).evalf())) < 1e-6)
    return False
