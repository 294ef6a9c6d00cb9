"""Measure both models on their own answers, once for all points of a grid."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from frism.distillation.experts import Expert, ask_experts
from frism.distillation.statistics import measure_fisher, measure_inputs
from frism.gates.checkpointer import Checkpointer
from frism.method import Count, Fitting
from frism.seeds import make_generator

Measured = dict[str, dict[str, Tensor]]  # by role, then by canonical name


@dataclass(frozen=True)
class Asking:
    """Say what the models are asked.

    questions: calibration questions at most, each answered by V with its picture and by R without.
    max_new_tokens: most tokens of an answer.
    """

    questions: Count = 256
    max_new_tokens: Count = 32


def measure_both_fishers(fitting: Fitting, asking: Asking) -> Measured:
    """Estimate the diagonal Fisher information of every tensor in scope, of V and of R."""
    triple = fitting.triple
    paths = {name: triple.parameter_name(name) for name in triple.names(fitting.scope)}

    def measure(expert: Expert) -> dict[str, Tensor]:
        return measure_fisher(expert, paths, make_generator(fitting.seed, f"fisher of {expert.role}"))

    return _measure(fitting, asking, "fisher", measure)


def measure_both_inputs(fitting: Fitting, asking: Asking) -> Measured:
    """Measure the inputs' second moments of every matrix in scope, of V and of R."""
    names = [
        n for n in fitting.triple.names(fitting.scope) if len(fitting.triple.header("vlm", n).shape) == 2
    ]
    return _measure(fitting, asking, "inputs", lambda expert: measure_inputs(expert, names))


def _measure(
    fitting: Fitting, asking: Asking, what: str, measure: Callable[[Expert], dict[str, Tensor]]
) -> Measured:
    key = json.dumps(
        [fitting.triple.digest, fitting.scope, fitting.seed, vars(asking), fitting.compute.dtype]
    )  # calibration and code are the workspace's
    checkpointer = Checkpointer(fitting.workspace and fitting.workspace / f"{what}.pt", key)
    state = checkpointer.load()
    if state is None:
        state = {expert.role: measure(expert) for expert in ask_experts(fitting, **vars(asking))}
        checkpointer.save_if_due(lambda: state)
    return state
