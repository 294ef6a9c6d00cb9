"""Read what VLMEvalKit would run as Python, cells and answers, as literals and formulas."""

import ast
import contextlib
import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from benchmarks.scoring.stated_numbers import is_formula

_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip


def literal(source: object, *_: object) -> Any:
    """Evaluate what cells and answers may hold: literals and sums, no names, calls or powers.

    Raises SyntaxError for anything else, which VLMEvalKit's callers catch.
    """

    def value(node: ast.AST) -> Any:
        match node:
            case ast.Expression(body=body):
                return value(body)
            case ast.Constant(value=constant):
                return constant
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
                values = [value(element) for element in elements]
                return tuple(values) if isinstance(node, ast.Tuple) else values
            case ast.Dict(keys=keys, values=entries):
                return {value(k): value(v) for k, v in zip(keys, entries, strict=True) if k is not None}
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                sides = value(left), value(right)
                if all(isinstance(side, int | float) for side in sides):
                    return _OPERATORS[type(op)](*sides)
        raise SyntaxError(f"not a literal: {str(source)[:40]!r}")

    if not isinstance(source, str):
        raise TypeError("eval() arg 1 must be a string")
    if len(source) > 100_000:
        raise SyntaxError("too long for a literal")
    try:
        return value(ast.parse(source.strip(), mode="eval"))
    except (MemoryError, RecursionError, ValueError, ArithmeticError) as error:
        raise SyntaxError(str(error)) from None


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
        if abs(literal(truth) - literal(answer)) < 1e-6:
            return True
    if not is_formula(answer):
        return False
    from latex2sympy2_extended import latex2sympy

    with contextlib.suppress(Exception):
        return bool(abs(float((latex2sympy(truth) - latex2sympy(answer)).evalf())) < 1e-6)
    return False
