"""Define an intervention: what is done to a loaded model for a while, and what it is called in tables."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

Unit = str  # LAYERS, "spectrum" (its parts) or "pictures": what `first` and `last` count
LAYERS = "layers"
OUT, IN = "out", "in"  # actions on a merge's change
NOTHING = -1  # `first` and `last` where no block is meant


@dataclass(frozen=True)
class Intervention:
    """Hold one change of a loaded model, which it undoes itself.

    Attributes:
        action: what is done, a word of the analysis.
        module: "attention", "mlp" or "all".
        unit: what `first` and `last`, both included and from 0, count.
        inputs: digest of what it goes by beside the weights, such as calibration questions.
        apply: makes the change; leaving the context restores the model to its bits.
        within: makes what several interventions in a row have in common, around `apply`; equal ones are
            entered once for all of them.
    """

    action: str
    module: str = "all"
    unit: Unit = "layers"
    first: int = NOTHING
    last: int = NOTHING
    inputs: str = ""
    apply: Callable[[], AbstractContextManager[object]] = field(default=nullcontext, compare=False)
    within: Callable[[], AbstractContextManager[object]] = field(default=nullcontext, compare=False)

    @property
    def identity(self) -> tuple[str | int, ...]:
        """Tell this intervention from the others of an analysis."""
        return (self.action, self.module, self.unit, self.first, self.last, self.inputs)

    @property
    def labels(self) -> dict[str, str | int]:
        """Return its columns in a table."""
        labels = zip(COLUMNS, self.identity, strict=False)
        return dict(labels)


COLUMNS = ("action", "module", "unit", "first", "last")
INTACT = Intervention("intact")
BARE = "bare"  # action: the whole change is taken out, which leaves V
