"""FRISM in closed form: gates from the curvature of the KL, no training.

One pass over the calibration questions estimates h_k, the Fisher information of V's own answers along every
singular direction of tau_R (`frism.gates.curvature` has the derivation and the estimator's variance). Under
the assumption of FRISM's own theory (arXiv 2601.21187), that directions decouple and the KL is quadratic,
its loss is least where a gate is open if h_k / 2 < alpha * S_k^2 / sum ||S||^2 and closed otherwise: V +
`strength` * U diag(open * S) V^T with open 0 or 1. A variation of this project. Deviations from `frism`:
gates are not learned, so that nothing depends on steps and lr, and directions that are harmful only
together are not noticed.
"""

import logging
from typing import Literal

import torch

from frism.distillation.examples import Examples, make_examples
from frism.distillation.receiver import Receiver
from frism.distillation.teacher import TeacherSettings
from frism.gates.checkpointer import Checkpointer
from frism.gates.curvature import Curvature, estimate_curvature, measure_energy_shares
from frism.gates.gated_model import GatedInjection
from frism.gates.learner import gate_model
from frism.gates.parametrisation import Gates
from frism.gates.recomputation import recomputation_pays, recompute
from frism.method import Count, Fitted, Fitting, NonNegative
from frism.methods.frism import FAMILY, NEEDS, merge
from frism.progress import count_up

__all__ = ["FAMILY", "NEEDS", "fit", "merge"]

GRANULARITY = "direction"
GRADIENTS = "model"


log = logging.getLogger(__name__)


def fit(
    fitting: Fitting,
    *,
    strength: float = 0.2,
    alpha: NonNegative = 0.1,
    samples: Count = 4,
    batch: Count = 4,
    max_new_tokens: Count = 32,
    tokens: Literal["answer", "first"] = "answer",
) -> Fitted:
    """Estimate the curvature and open the gates that it allows.

    Args:
        alpha: nats of KL per answer token that a direction may cost, times its share of tau_R's energy; the
            same alpha as in the loss of `frism`.
        samples: draws per batch, each one a forward and a backward pass. batch: questions of a pass; all
            calibration questions are used, and the estimate rests on samples * questions / batch draws.
        max_new_tokens, tokens: the teacher's answer, as in `frism`.

    Returns per tensor "open" and h in nats, "curvature", (k,), and where truncated "open_tail" and
    "curvature_tail". The curve, (1,), tells of the result: kl (measured on the questions), injected_energy,
    gate_q10, gate_q50, gate_q90.
    """
    triple, compute, seed, workspace = fitting.triple, fitting.compute, fitting.seed, fitting.workspace
    calibration, spectra = fitting.calibration, fitting.spectra
    receiver, teacher = Receiver.load(triple, compute), TeacherSettings(max_new_tokens, tokens)
    folder, key = None, ""
    if workspace is not None:
        folder = workspace / "teacher"
        key = f"{triple.digest['vlm']} {calibration.digest} {teacher} {batch} {seed} {compute.dtype}"
    questions = calibration.questions
    examples, _ = make_examples(
        receiver, questions, teacher, batch=batch, batches=len(questions), seed=seed, folder=folder, key=key
    )
    gates = gate_model(
        receiver, spectra, strength=strength, gates=Gates("free"), compute=compute, scope=fitting.scope
    )
    # One pass serves every alpha: the points of a grid share a workspace.
    curvature_key = f"{key} {triple.digest} {spectra.settings} {strength} {samples}"
    checkpointer = Checkpointer(workspace and workspace / "curvature.pt", curvature_key)
    if (state := checkpointer.load()) is None:
        curvature = _estimate(receiver, gates, examples, samples, seed, fitting.label)
        checkpointer.save_if_due(lambda: vars(curvature))
    else:
        curvature = Curvature(**state)
    _open_gates(gates, curvature, alpha)
    kl, energy = _measure_kl(receiver, gates, examples), gates.injected_energy().item()
    quantiles = zip(("gate_q10", "gate_q50", "gate_q90"), gates.quantiles(0.1, 0.5, 0.9), strict=True)
    _report(gates, curvature, kl, energy)
    tensors = {name: dict(entries) for name, entries in gates.coefficients().items()}
    keys = [(name, "curvature") for name in gates.logits] + [(name, "curvature_tail") for name in gates.tails]
    for (name, key), h in zip(keys, curvature.values, strict=True):
        tensors[name][key] = h.to("cpu", torch.float32)
    curve = {"kl": kl, "injected_energy": energy, **dict(quantiles)}
    return Fitted(tensors=tensors, curve={name: torch.tensor([value]) for name, value in curve.items()})


def _estimate(
    receiver: Receiver, gates: GatedInjection, examples: Examples, samples: int, seed: int, progress: str
) -> Curvature:
    counted = count_up(examples, progress, "examples")
    questions = (lambda example=example: example.logits(receiver) for example in counted)
    longest = max(example.answer.numel() for example in examples)
    with recompute(receiver.layers if recomputation_pays(receiver.layers, longest, receiver.device) else ()):
        return estimate_curvature(
            gates, questions, samples=samples, generator=torch.Generator().manual_seed(seed)
        )


@torch.no_grad()
def _open_gates(gates: GatedInjection, curvature: Curvature, alpha: float) -> None:
    """Open the gates whose KL costs less than their energy earns."""
    with torch.enable_grad():
        shares = measure_energy_shares(gates)
    for parameter, h, share in zip(gates.parameters(), curvature.values, shares, strict=True):
        parameter.copy_(h.to(share.device) / 2 < alpha * share.double())


@torch.no_grad()
def _measure_kl(receiver: Receiver, gates: GatedInjection, examples: Examples) -> float:
    """Measure the KL of the merge that the gates make, as a mean over the examples' answer tokens."""
    with gates.apply():
        parts = [(example.divergence(receiver).item(), len(example.tokens)) for example in examples]
    return sum(kl * count for kl, count in parts) / sum(count for _, count in parts)


def _report(gates: GatedInjection, curvature: Curvature, kl: float, energy: float) -> None:
    """Log the KL that the decoupled, quadratic model predicts beside the measured one."""
    open_fractions = [parameter.detach().cpu() for parameter in gates.parameters()]
    predicted = (
        sum(float((c * h.cpu()).sum()) for c, h in zip(open_fractions, curvature.values, strict=True)) / 2
    )
    log.info(
        "curvature over %d answer tokens, median relative standard error %.2f; KL %.4f (decoupled: %.4f), "
        "injected energy %.3f", curvature.tokens, curvature.relative_error, kl, predicted, energy,
    )  # fmt: skip
