"""Train gates step by step: batches in a seeded order, AdamW, held-out checks, early stopping."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Literal

import torch
from torch import Tensor

from frism.distillation.examples import Examples
from frism.distillation.receiver import Receiver
from frism.distillation.teacher import Example
from frism.errors import UserError
from frism.gates.gated_model import GatedInjection
from frism.gates.learning import Learning
from frism.gates.learning_curve import EarlyStopping, LearningCurve, mean
from frism.gates.recomputation import recomputation_pays, recompute

Objective = Literal["kl", "entropy"]
QUANTILES = {"gate_q10": 0.1, "gate_q50": 0.5, "gate_q90": 0.9}
SCHEDULES: dict[str, Callable[[float], float]] = {  # share of the steps done -> share of lr
    "constant": lambda done: 1.0,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
}


class GateTraining:
    """Take the steps that are left, one per iteration; yield each one's quantities as they were before it.

    Args:
        examples: to learn from. held_out: to check on; may be empty.
        seed: of the order in which examples are passed over.
        kl_weight: of the divergence in the loss; 0 measures it without learning from it.
        objective: "entropy" puts the student's own entropy in the divergence's place, which is measured.

    Attributes:
        curve: the quantities of all steps so far.
    """

    def __init__(
        self,
        receiver: Receiver,
        injection: GatedInjection,
        examples: Examples,
        held_out: Examples,
        learning: Learning,
        *,
        seed: int = 0,
        kl_weight: float = 1.0,
        objective: Objective = "kl",
    ) -> None:
        self.objective = objective
        self.receiver, self.injection, self.learning = receiver, injection, learning
        self.examples, self.held_out, self.seed, self.kl_weight = examples, held_out, seed, kl_weight
        self.optimizer = torch.optim.AdamW(
            injection.parameters(), lr=learning.lr, weight_decay=learning.weight_decay, eps=learning.epsilon
        )
        self.curve, self.stopping = LearningCurve(), EarlyStopping(learning.patience, learning.tolerance)
        self._pass: tuple[int, list[int]] = (-1, [])

    def state(self) -> dict[str, Any]:
        """Return all that the remaining steps depend on; the examples' order follows from seed and step."""
        return {
            "logits": {name: logits.detach() for name, logits in self.injection.logits.items()},
            "tails": {name: logit.detach() for name, logit in self.injection.tails.items()},
            "optimizer": self.optimizer.state_dict(),
            "curve": self.curve.values,
            "stopping": vars(self.stopping),
        }

    @torch.no_grad()
    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from what `state` returned."""
        for parameters, saved in (
            (self.injection.logits, state["logits"]),
            (self.injection.tails, state["tails"]),
        ):
            for name, logits in parameters.items():
                logits.copy_(saved[name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.curve, self.stopping = LearningCurve(state["curve"]), EarlyStopping(**state["stopping"])

    def __iter__(self) -> Iterator[dict[str, float]]:
        with ExitStack() as stack:
            stack.enter_context(self.injection.apply())
            longest = max(example.answer.numel() for example in self.examples)
            if recomputation_pays(self.receiver.layers, longest, self.receiver.device):
                stack.enter_context(recompute(self.receiver.layers))
            for step in range(len(self.curve), self.learning.steps):
                due = step % self.learning.check_every == 0
                held_out = self._measure_held_out(due)
                if due and self._should_stop(held_out):
                    return
                row = self._step(step) | held_out
                self.curve.append(row)
                yield row

    def _step(self, step: int) -> dict[str, float]:
        learning, injection = self.learning, self.injection
        injection.set_tail_updates(step % learning.tail_every == 0)
        self.optimizer.zero_grad()  # None: what gets no gradient is not moved
        with torch.set_grad_enabled(self.kl_weight != 0):
            divergence, learned = self._losses(self._example(step))
        energy = injection.injected_energy(learning.normaliser)
        loss = self.kl_weight * learned.to(energy.device) - learning.alpha * energy
        row = {"kl": divergence.item(), "injected_energy": energy.item()}
        if not all(math.isfinite(value) for value in row.values()):
            raise UserError(
                f"the loss of step {step} is not finite: lower lr (now {learning.lr:g}) or strength (now "
                f"{injection.strength:g}), or let the model run in float32 (now "
                f"{str(self.receiver.model.dtype).removeprefix('torch.')})."
            )
        row |= dict(zip(QUANTILES, injection.quantiles(*QUANTILES.values()), strict=True))
        loss.backward()
        for group in self.optimizer.param_groups:
            group["lr"] = learning.lr * SCHEDULES[learning.schedule](step / learning.steps)
        self.optimizer.step()
        return row

    def _measure_held_out(self, due: bool) -> dict[str, float]:
        """Return the KL on the questions held out, as of the last check."""
        if not self.held_out:
            return {}
        if not due:
            return {"held_out_kl": self.curve.last("held_out_kl")}
        with torch.no_grad():
            parts = [(self._divergence(e).item(), len(e.tokens)) for e in self.held_out]
        total = sum(kl * count for kl, count in parts)
        return {"held_out_kl": total / sum(count for _, count in parts)}

    def _should_stop(self, held_out: dict[str, float]) -> bool:
        """Whether a check finds no improvement for long enough."""
        if held_out:
            kl = held_out["held_out_kl"]
            energy = self.injection.injected_energy(self.learning.normaliser).item()
        elif len(self.curve):
            since = self.learning.check_every
            kl, energy = (mean(self.curve.values[name][-since:]) for name in ("kl", "injected_energy"))
        else:
            return False
        return self.stopping.check(self.kl_weight * kl - self.learning.alpha * energy)

    def _divergence(self, example: Example) -> Tensor:
        learning = self.learning
        return example.divergence(self.receiver, learning.temperature, learning.divergence)

    def _losses(self, example: Example) -> tuple[Tensor, Tensor]:
        """Return the divergence, and what is learned from: that, or the entropy of the student's tokens."""
        if self.objective == "kl":
            divergence = self._divergence(example)
            return divergence, divergence
        learning, logits = self.learning, example.logits(self.receiver)
        logs = torch.log_softmax(logits / learning.temperature, dim=-1)
        measured = example.target.divergence(
            self.receiver, logits.detach(), learning.temperature, learning.divergence
        )
        return measured, -(logs.exp() * logs).sum(dim=-1).mean()

    def _example(self, step: int) -> Example:
        """Return a step's batch: every pass over the examples has an order of its own, by seed and pass."""
        number, index = divmod(step, len(self.examples))
        if self._pass[0] != number:
            generator = torch.Generator().manual_seed((self.seed << 20) + number)
            self._pass = (number, torch.randperm(len(self.examples), generator=generator).tolist())
        return self.examples[self._pass[1][index]]
