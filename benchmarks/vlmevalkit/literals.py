"""Read as literals what VLMEvalKit would run as Python: cells of tables, and answers."""

import ast
import operator
import sys
from collections.abc import Callable
from typing import Any

_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip


def parse_literal(source: object, *_: object) -> Any:
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


def read_cells_as_literals() -> None:
    """Let every module of VLMEvalKit that is imported read literals where it calls `eval`; for good.

    A table is downloaded data: one cell, "[__import__('os')...]", would run whatever it likes as soon as its
    question is built.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith(("vlmeval.dataset.", "vlmeval.smp.")) and module is not None:
            vars(module)["eval"] = parse_literal
