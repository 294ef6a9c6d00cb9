"""Find analyses by file name, and read their signatures as schemas of their parameters.

The file's name is the analysis' name, the first line of its docstring (up to ":" or ".") its label.

    intervene(ground, *, ...) -> Iterator[Intervention]    what is done to the model, step by step
    read(text, *, ...) -> dict[str, number]    in its place: what is counted in a stored answer
    trace(ground, readings, *, ...) -> rows    in its place: what is measured as the model reads

Every keyword is a parameter (`frism.method.parameters`). Optional constants:

    LISTS        parameters of which a config may name several values: all combinations are run
    CALIBRATED   parameter values at which calibration questions are asked: {"replacement": "mean"}
    MERGES       True if it takes a merge's change apart: V itself and checkpoints have none
    SCENES       True if it asks what only the miniature world knows of its pictures
    AT_ONCE      questions that are traced together, 8 unless given
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.study.variant_config import expand
from frism.errors import UserError, suggest
from frism.method.parameters import Signature, Value, read_signature, validate

if TYPE_CHECKING:
    from benchmarks.analyses.measuring.ground import Ground
    from benchmarks.analyses.measuring.intervention import Intervention
    from benchmarks.analyses.measuring.tracing import Row

PACKAGE = "benchmarks.analyses"


@dataclass(frozen=True)
class Analysis:
    """Hold one analysis and all that its file states."""

    name: str
    label: str
    module: str
    intervene: "Callable[..., Iterator[Intervention]] | None"
    read: Callable[..., Mapping[str, float]] | None
    trace: "Callable[..., list[list[Row]]] | None"
    signature: Signature
    lists: frozenset[str]
    calibrated: Mapping[str, Value]
    merges: bool
    scenes: bool
    at_once: int

    def expand(self, params: Mapping[str, Any]) -> list[dict[str, Value]]:
        """List the complete parameters of every combination; the last list runs fastest.

        Raises UserError for an unknown name, a value of the wrong type or range, values that do not
        go together, and a list where only one value goes.
        """
        where = f"analysis {self.name}"
        grid = {
            name: value for name, value in params.items() if isinstance(value, list) and name in self.lists
        }
        for name, values in grid.items():
            if not values or any(value in values[:number] for number, value in enumerate(values)):
                raise UserError(f"{where}: parameter '{name}' lists a value twice or none: name each once.")
        fixed = {name: value for name, value in params.items() if name not in grid}
        combinations = [validate(one, self.signature.parameters, where) for one in expand(fixed, grid)]
        for one in combinations:
            try:
                self.signature.build_arguments(one)
            except ValueError as error:
                raise UserError(f"{where}: {error}") from None
        return combinations

    @property
    def runs_a_model(self) -> bool:
        """Whether a model is loaded and changed in place."""
        return self.read is None

    def asks_calibration(self, combinations: list[dict[str, Value]]) -> bool:
        """Tell whether any of these complete parameters needs calibration questions."""
        return bool(self.calibrated) and any(
            all(one[name] == value for name, value in self.calibrated.items()) for one in combinations
        )

    def list_interventions(
        self, ground: "Ground", combinations: list[dict[str, Value]]
    ) -> "list[Intervention]":
        """List what is done to the model, each once."""
        assert self.intervene is not None
        listed = [
            step
            for one in combinations
            for step in self.intervene(ground, **self.signature.build_arguments(one))
        ]
        return list({step.identity: step for step in listed}.values())


def list_names() -> list[str]:
    """List the names of all analyses, sorted."""
    found = pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__)
    return sorted(entry.name for entry in found if not (entry.name.startswith("_") or entry.ispkg))


def find(name: str) -> Analysis:
    """Import an analysis by its name. Raises UserError when there is none or it breaks the interface."""
    names = list_names()
    if name not in names:
        raise UserError(f"unknown analysis '{name}' (available: {', '.join(names)}).{suggest(name, names)}")
    module = importlib.import_module(f"{PACKAGE}.{name}")
    where = module.__file__ or module.__name__
    functions = {name: getattr(module, name, None) for name in ("intervene", "read", "trace")}
    given = [function for function in functions.values() if function is not None]
    if len(given) != 1:
        raise UserError(f"{where} needs one function of {', '.join(functions)}: write one.")
    label = (module.__doc__ or "").strip().partition("\n")[0].partition(":")[0].rstrip(".")
    if not label:
        raise UserError(f"{where} has no docstring: its first line, up to ':', is the analysis' label.")
    signature = read_signature(given[0], where, positional=2 if functions["trace"] else 1)
    lists, calibrated = frozenset(getattr(module, "LISTS", ())), getattr(module, "CALIBRATED", {})
    for constant in [*lists, *calibrated]:
        if constant not in signature.parameters:
            raise UserError(
                f"{where}: LISTS or CALIBRATED names '{constant}', which is no parameter: drop it."
            )
    return Analysis(
        name, label, module.__name__, functions["intervene"], functions["read"], functions["trace"],
        signature, lists, calibrated,
        bool(getattr(module, "MERGES", False)), bool(getattr(module, "SCENES", False)),
        int(getattr(module, "AT_ONCE", 8)),
    )  # fmt: skip
