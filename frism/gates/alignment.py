"""Learn layer coefficients that keep each expert's hidden states and distributions on its own questions.

Expert Merging (arXiv 2509.25712): sum over experts of a_k (KL to the expert's distribution at its answer's
tokens + h * the mean over layers of the mean squared difference of hidden states) + r * the mean distance of
the coefficients from where they started.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from frism.distillation.experts import Expert, ask_experts
from frism.distillation.receiver import Receiver
from frism.distillation.teacher import Example
from frism.errors import UserError
from frism.gates.learner import gate_model
from frism.gates.parametrisation import Gates
from frism.method import Count, Fitted, Fitting, NonNegative, Positive
from frism.progress import Progress


@dataclass(frozen=True)
class Alignment:
    """Say how coefficients are learned.

    steps, batch, lr: of AdamW without weight decay; each step takes a batch of V's questions and one of R's.
    questions, max_new_tokens: calibration questions at most, and tokens of an expert's answer.
    hidden: weight of hidden states, beside the logits' 1.
    lrm_weight: weight of R's part of the loss, beside V's 1.
    stay: weight of the coefficients' distance from where they started.
    """

    steps: Count = 100
    batch: Count = 8
    lr: Positive = 0.01
    questions: Count = 256
    max_new_tokens: Count = 32
    hidden: NonNegative = 1.0
    lrm_weight: NonNegative = 1.0
    stay: NonNegative = 0.0


@dataclass(frozen=True)
class Lesson:
    """Hold a batch of an expert's answers with its hidden states there: (layers, n, width), on the CPU."""

    example: Example
    hidden: Tensor


def align(fitting: Fitting, strength: float, alignment: Alignment) -> Fitted:
    """Learn one coefficient of tau_R per layer, `strength` / 2 at first.

    Returns per tensor "open", and the curve: kl of V and kl_lrm of R, hidden and hidden_lrm, before a step.

    Raises UserError for a loss that is not finite.
    """
    asked = {"batch": alignment.batch, "questions": alignment.questions}
    lessons: dict[str, list[Lesson]] = {}
    for expert in ask_experts(fitting, max_new_tokens=alignment.max_new_tokens, **asked):
        lessons[expert.role] = list(_teach(expert))
    receiver = Receiver.load(fitting.triple, fitting.compute)
    gates = Gates("free", shared=True, by_layer=True)
    injection = gate_model(
        receiver,
        fitting.spectra,
        strength=strength,
        gates=gates,
        compute=fitting.compute,
        scope=fitting.scope,
    )
    start = [parameter.detach().clone() for parameter in injection.parameters()]
    optimizer = torch.optim.AdamW(injection.parameters(), lr=alignment.lr, weight_decay=0.0)
    weights, rows = {"vlm": 1.0, "lrm": alignment.lrm_weight}, []
    with injection.apply(), Progress(fitting.label, alignment.steps, "steps") as progress:
        for step in range(alignment.steps):
            optimizer.zero_grad()
            row: dict[str, float] = {}
            for role, weight in weights.items():
                kl, hidden = measure_distance(receiver, _choose(lessons[role], step, fitting.seed))
                (weight * (kl + alignment.hidden * hidden)).backward()
                suffix = "" if role == "vlm" else "_lrm"
                row |= {f"kl{suffix}": kl.item(), f"hidden{suffix}": hidden.item()}
            pairs = zip(injection.parameters(), start, strict=True)
            distance = torch.stack([(now - first).abs().sum() for now, first in pairs]).mean()
            (alignment.stay * distance).backward()
            if not all(torch.isfinite(torch.tensor(value)) for value in row.values()):
                raise UserError(f"the loss of step {step} is not finite: lower lr (now {alignment.lr:g}).")
            optimizer.step()
            rows.append(row)
            progress.advance(note=f"KL {row['kl']:.4f}, to R {row['kl_lrm']:.4f}")
    curve = {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}
    return Fitted(tensors=injection.coefficients(), curve=curve)


def measure_distance(receiver: Receiver, lesson: Lesson) -> tuple[Tensor, Tensor]:
    """Return the KL from the expert (mean over tokens) and the mean squared difference of hidden states."""
    with _collect(receiver) as states:
        kl = lesson.example.divergence(receiver)
    layers = zip(_select(states, lesson.example), lesson.hidden, strict=True)
    parts = [(mine.float() - theirs.to(mine.device)).square().mean() for mine, theirs in layers]
    return kl, torch.stack([part.to(kl.device) for part in parts]).mean()


@torch.no_grad()
def _teach(expert: Expert) -> Iterator[Lesson]:
    for example in expert.examples:
        with _collect(expert.receiver) as states:
            example.logits(expert.receiver)
        yield Lesson(example, torch.stack([s.float().cpu() for s in _select(states, example)]))


@contextmanager
def _collect(receiver: Receiver) -> Iterator[list[Tensor]]:
    """Collect what every decoder layer puts out, in order, during one forward pass."""
    states: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        states.append(output[0] if isinstance(output, tuple) else output)

    handles = [layer.register_forward_hook(keep) for layer in receiver.layers]
    try:
        yield states
    finally:
        for handle in handles:
            handle.remove()


def _select(states: Sequence[Tensor], example: Example) -> list[Tensor]:
    return [state[example.answer.to(state.device)] for state in states]


def _choose(lessons: Sequence[Lesson], step: int, seed: int) -> Lesson:
    """Return a step's batch: every pass has an order of its own, by seed and pass."""
    number, index = divmod(step, len(lessons))
    order = torch.randperm(len(lessons), generator=torch.Generator().manual_seed((seed << 20) + number))
    return lessons[int(order[index])]
