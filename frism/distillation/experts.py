"""Let both models that are merged answer calibration questions, for methods that need data of each.

V is asked about pictures; R, a language model, gets the questions' texts alone. R runs inside V: its tensors
fill V's language tower, while embedding and head are V's, as in every merge; so both know the same tokens,
and a merge can be run on what either was shown.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self

import torch

from frism.distillation.examples import Examples, make_examples
from frism.distillation.prompts import prepare_questions, prepare_texts
from frism.distillation.receiver import Receiver
from frism.distillation.teacher import TeacherSettings
from frism.method.fitting import Fitting
from frism.triples.triple import Triple

Role = Literal["vlm", "lrm"]


@dataclass(frozen=True)
class Expert:
    """Hold one model, frozen, and its own greedy answers to the calibration questions.

    Attributes:
        role: which of the merged models it is.
    """

    role: Role
    receiver: Receiver
    examples: Examples

    @classmethod
    def ask(
        cls, fitting: Fitting, role: Role, *, batch: int = 1, questions: int | None = None,
        max_new_tokens: int = 32,
    ) -> Self:  # fmt: skip
        """Load a model and let it answer `questions` calibration questions (all of them: None).

        Answers are kept in the fitting's workspace, which the points of a grid share.
        """
        receiver = Receiver.load(fitting.triple, fitting.compute)
        if role == "lrm":
            fill_with_reasoner(fitting.triple, receiver)
        asked = fitting.calibration.questions
        number = len(asked) if questions is None else min(questions, len(asked))
        folder, key = None, ""
        if fitting.workspace is not None:
            folder = fitting.workspace / f"answers-{role}-{batch}-{number}-{max_new_tokens}"
            origins = [fitting.triple.digest["vlm"], fitting.triple.digest[role], fitting.calibration.digest]
            key = json.dumps([*origins, fitting.seed, fitting.compute.dtype, torch.__version__])
        examples, _ = make_examples(
            receiver, asked, TeacherSettings(max_new_tokens), batch=batch, batches=-(-number // batch),
            seed=fitting.seed, prepare=prepare_questions if role == "vlm" else prepare_texts,
            folder=folder, key=key,
        )  # fmt: skip
        return cls(role, receiver, examples)


def ask_experts(fitting: Fitting, **options: int) -> Iterator[Expert]:
    """Ask V, then R; drop one before the next is taken, and no two models are in memory."""
    for role in ("vlm", "lrm"):
        yield Expert.ask(fitting, role, **options)


@torch.no_grad()
def fill_with_reasoner(triple: Triple, receiver: Receiver) -> None:
    """Write R's tensors into the language tower of a loaded V; embedding and head stay V's."""
    for name in triple.names(triple.widest_scope):
        parameter = receiver.model.get_parameter(triple.parameter_name(name))
        parameter.copy_(triple.read("lrm", name, parameter.device))
