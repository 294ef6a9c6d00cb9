"""Estimate the KL's curvature along every singular direction at the unmodified VLM: its Fisher information.

What is estimated. Let c_k be the open fraction of direction k (or of a tail), so that V + strength * sum_k
c_k S_k u_k v_k^T is the merge and c = 0 is V. KL(V || merge), the mean over answer tokens, has value and
gradient zero at c = 0, hence KL(c) = 1/2 c^T H c + O(c^3), with H the Fisher information of V's own output
distribution P:

    h_k = H_kk = 1/n sum_t E_{y ~ P_t} [ (d log P_t(y) / d c_k)^2 ],    t over n answer tokens, in nats,

the information along u_k v_k^T times (strength S_k)^2.

How. With a_y = sqrt(P(y)) w_y for independent random signs w_y, the gradient of sum_y a_y log P(y) in the
logits is z = a - P sum(a), and E[z z^T] = diag(P) - P P^T: exactly the Fisher information in the logits. So
the square of the gradient in c_k has the token's information as its mean. Signs of different tokens are
independent and of mean zero, so the same holds for all tokens of a question at once: one backward pass a
draw, whatever their number. The gradient in c_k is strength S_k sum_n (u_k . delta_n)(v_k . x_n)
(`frism.gates.branch`); no dL/dW is formed.

How exact. One draw of h_k has a variance of at most 2 h_k^2 (a quadratic form in signs; that of a normal
one is 2 h_k^2), where sampling y from a confident teacher would see its rare, informative tokens hardly
ever. With N questions and m draws of each, the relative standard error from the signs is at most
sqrt(2 / (m N)) for alike questions; the questions' own differences come on top. `errors` estimates both
together, from the spread of the questions' means.

What follows. With the paper's own assumption that directions decouple (off-diagonal entries of H are left
out), the loss KL - alpha * E of eq. 10, E = sum_k c_k^2 e_k with e_k = S_k^2 / sum ||S||^2, becomes sum_k
c_k^2 (h_k / 2 - alpha e_k): every gate is at an end of [0, 1], open exactly where h_k / 2 < alpha e_k, i.e.
where the KL per unit of energy lies below alpha (the paper's threshold, h_k against 2 alpha ||B_k||^2). Off
the diagonal nothing is known: thousands of directions, each harmless alone, may not be so together.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from frism.gates.gated_model import GatedInjection


@dataclass(frozen=True)
class Curvature:
    """Hold the diagonal of the Fisher information in the open fractions.

    Attributes:
        values: h, nats per answer token, one tensor per `GatedInjection.parameters()`, in their order and of
            their shapes and devices, float64. errors: standard errors, likewise; infinite for one question.
        tokens: answer tokens that it is the mean over.
    """

    values: list[Tensor]
    errors: list[Tensor]
    tokens: int

    @property
    def relative_error(self) -> float:
        """Return the median of error / h over everything that has a curvature."""
        h, errors = (
            torch.cat([part.flatten().cpu() for part in parts]) for parts in (self.values, self.errors)
        )
        return (errors[h > 0] / h[h > 0]).nanmedian().item()


def estimate_curvature(
    injection: GatedInjection,
    questions: Iterable[Callable[[], Tensor]],
    *,
    samples: int,
    generator: torch.Generator,
) -> Curvature:
    """Estimate h of every open fraction of `injection`, whose gates must be free; leaves them at zero.

    Args:
        questions: each gives, when called, the model's logits (n, vocabulary) at its n answer tokens. Several
            questions together count as one, which is quicker and less exact.
        samples: draws of random signs per question. generator: a CPU one, of these draws.
    """
    if injection.gates.kind != "free":
        raise ValueError("the curvature at V needs open fractions that can be zero: Gates('free')")
    parameters = injection.parameters()
    with torch.no_grad():
        for parameter in parameters:
            parameter.zero_()
    sums = [_Sums.zeros(parameter) for parameter in parameters]
    count = tokens = squared_tokens = 0
    with injection.apply():
        for logits in questions:
            squares = [torch.zeros_like(parameter, dtype=torch.float64) for parameter in parameters]
            answer_tokens = 0
            for _ in range(samples):
                values = logits()
                answer_tokens = len(values)
                gradients = torch.autograd.grad(signed_log_likelihood(values, generator), parameters)
                for square, gradient in zip(squares, gradients, strict=True):
                    square += gradient.double().square() / samples
            count, tokens = count + 1, tokens + answer_tokens
            squared_tokens += answer_tokens**2
            for total, square in zip(sums, squares, strict=True):
                total.add(square, answer_tokens)
    return Curvature(
        [total.values / tokens for total in sums],
        [total.errors(count, tokens, squared_tokens) for total in sums],
        tokens,
    )


def signed_log_likelihood(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Return sum_t,y sqrt(P) * (a random sign) * log P, a scalar, from logits (n, vocabulary)."""
    log_probs = torch.log_softmax(logits, dim=-1)
    signs = torch.randint(0, 2, logits.shape, generator=generator, dtype=torch.int8).to(logits.device) * 2 - 1
    return ((log_probs.detach() / 2).exp() * signs * log_probs).sum()


def measure_energy_shares(injection: GatedInjection) -> list[Tensor]:
    """Return e of every open fraction: its share of the injected energy of open gates. Free gates only."""
    with torch.no_grad():
        for parameter in injection.parameters():
            parameter.fill_(1)
    # E is sum c^2 e: half its gradient at c = 1.
    gradients = torch.autograd.grad(injection.injected_energy(), injection.parameters())
    return [gradient / 2 for gradient in gradients]


@dataclass
class _Sums:
    """Sum x, x^2 and x times the tokens over questions; x is a question's squared gradient."""

    values: Tensor
    squares: Tensor
    by_tokens: Tensor

    @classmethod
    def zeros(cls, like: Tensor) -> "_Sums":
        return cls(*(torch.zeros_like(like, dtype=torch.float64) for _ in range(3)))

    def add(self, x: Tensor, tokens: int) -> None:
        self.values += x
        self.squares += x.square()
        self.by_tokens += x * tokens

    def errors(self, count: int, tokens: int, squared_tokens: int) -> Tensor:
        """Return the standard error of sum x / sum tokens, a ratio of two sums over random questions."""
        if count < 2:
            return torch.full_like(self.values, torch.inf)
        h = self.values / tokens
        residual = self.squares - 2 * h * self.by_tokens + h.square() * squared_tokens
        return (residual.clamp(min=0) * count / (count - 1)).sqrt() / tokens
