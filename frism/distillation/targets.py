"""Keep the teacher's distributions as targets: the whole vocabulary, or the top k and the exact rest.

FRISM eq. 8 with a temperature T: KL between softmax(z_teacher / T) and softmax(z_student / T). With k tokens
and one bucket for all others, the divergence is that of the coarser distributions, so never above the full
one, and no probability is lost.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from frism.distillation.receiver import Receiver

Direction = Literal["forward", "reverse"]


@dataclass(frozen=True)
class FullTarget:
    """Keep the teacher's whole distribution as the hidden states that V's head turns into it.

    They give the distribution exactly, in a hundredth of its memory: `hidden` (n, width), the model's dtype.
    """

    hidden: Tensor

    def divergence(
        self, receiver: Receiver, logits: Tensor, temperature: float = 1.0, direction: Direction = "forward"
    ) -> Tensor:
        """Return the mean over the n tokens of the divergence from the teacher, nats (a scalar).

        Args:
            logits: the student's, (n, vocabulary), fp32 or float64.
            direction: "forward" is KL(teacher || student), "reverse" KL(student || teacher).
        """
        return _kl(self.log_probs(receiver, temperature), _log_softmax(logits, temperature), direction)

    @torch.no_grad()
    def log_probs(self, receiver: Receiver, temperature: float = 1.0) -> Tensor:
        """Return the teacher's log-probabilities, (n, vocabulary), fp32 or float64."""
        return _log_softmax(receiver.logits(self.hidden.to(receiver.device)), temperature)


@dataclass(frozen=True)
class TopKTarget:
    """Keep the k likeliest tokens, and the rest as one bucket, at one temperature.

    Attributes:
        tokens: (n, k) int64. log_probs: (n, k) and log_rest: (n,), the teacher's, fp32 or float64.
    """

    tokens: Tensor
    log_probs: Tensor
    log_rest: Tensor

    @classmethod
    @torch.no_grad()
    def from_logits(cls, logits: Tensor, k: int, temperature: float) -> "TopKTarget":
        """Keep the k likeliest tokens of the teacher's logits (n, vocabulary)."""
        tokens = logits.topk(k).indices
        log_probs, log_rest = _buckets(logits, tokens, temperature)
        return cls(tokens, log_probs, log_rest)

    def divergence(
        self, receiver: Receiver, logits: Tensor, temperature: float = 1.0, direction: Direction = "forward"
    ) -> Tensor:
        """Do as `FullTarget.divergence`, over k + 1 buckets; `temperature` is the one of `from_logits`."""
        tokens, log_probs, log_rest = (
            part.to(logits.device) for part in (self.tokens, self.log_probs, self.log_rest)
        )
        student, rest = _buckets(logits, tokens, temperature)
        teacher = torch.cat([log_probs, log_rest.unsqueeze(-1)], dim=-1)
        return _kl(teacher, torch.cat([student, rest.unsqueeze(-1)], dim=-1), direction)


Target = FullTarget | TopKTarget


def _log_softmax(logits: Tensor, temperature: float) -> Tensor:
    return torch.log_softmax(logits if temperature == 1.0 else logits / temperature, dim=-1)


def _buckets(logits: Tensor, tokens: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return log P of `tokens` (n, k) and of everything else (n,)."""
    scaled = logits / temperature
    total = scaled.logsumexp(dim=-1, keepdim=True)
    # Summed on its own: 1 minus the others' sum would lose it to rounding where it is small.
    rest = scaled.scatter(-1, tokens, -torch.inf).logsumexp(dim=-1)
    return scaled.gather(-1, tokens) - total, rest - total.squeeze(-1)


def _kl(teacher: Tensor, student: Tensor, direction: Direction) -> Tensor:
    first, second = (teacher, student) if direction == "forward" else (student, teacher)
    return torch.nn.functional.kl_div(second, first, log_target=True, reduction="none").sum(-1).mean()
