"""FRISM without its reward for injecting: KL alone decides.

V + `strength` * U diag(open * S) V^T as in `frism` (arXiv 2601.21187), with alpha = 0: nothing speaks for an
open gate. Notes on the paper say that all gates then close and nothing is injected; how far they get
depends on steps and lr. An ablation of this project.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from frism.gates.learner import learn
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.method import Fitted, Fitting
from frism.methods.frism import FAMILY, NEEDS, merge

__all__ = ["FAMILY", "NEEDS", "fit", "merge"]


GRANULARITY = "direction"
GRADIENTS = "model"


@dataclass(frozen=True)
class Unrewarded(Learning):
    """Learning with alpha 0 by definition."""

    alpha: Annotated[float, Field(ge=0, le=0)] = 0.0


def fit(fitting: Fitting, *, strength: float = 0.2, learning: Unrewarded) -> Fitted:
    """Learn the gates: per tensor "open", where truncated "open_tail", and the learning curve."""
    return learn(fitting, Gates(), strength, learning)
