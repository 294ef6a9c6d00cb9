"""FRISM: one learned gate per singular direction of tau_R.

V + strength * U diag(sigmoid(g) S) V^T with U S V^T = SVD(tau_R); arXiv 2601.21187 (eq. 7 to 10).
The gates minimise forward KL to the unmodified VLM on its own greedy answers to unlabelled
perception questions, minus alpha times the injected energy. Deviations: none known; the paper
publishes no hyper-parameters, so strength, alpha, steps, lr, batch and the normaliser of the energy
are this project's defaults.
"""

import logging
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from frism.distillation import answer_log_probs, forward_kl, teacher_batches
from frism.gates import GatedInjection
from frism.spectra import decompose
from frism.triples.triple import Triple

log = logging.getLogger(__name__)


def merge(
    base: Tensor, vlm: Tensor, lrm: Tensor, *, strength: float = 1.0, fitted: dict[str, Tensor]
) -> Tensor:
    """One matrix (d_out, d_in), fp32. `fitted["gate"]`: the learned logits, shape (min(d_out, d_in),)."""
    gates = torch.sigmoid(fitted["gate"].to(vlm.device))
    return vlm + strength * decompose(lrm - base).gated(gates)


def fit(
    triple: Triple,
    calibration: Any,  # with `questions`: a sequence of (picture, question)
    *,
    strength: float = 1.0,
    alpha: float = 0.1,
    steps: int = 64,
    lr: float = 0.08,
    batch: int = 16,
    max_new_tokens: int = 24,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Learn the gates: `steps` steps of Adam at `lr` on batches of `batch` questions, answers of at most
    `max_new_tokens` tokens.

    Returns "<tensor name>/gate" (logits, fp32) for every matrix in scope, and the learning curve as
    "curve/<quantity>" of shape (steps,): kl (nats per answer token), injected_energy (share of
    tau_R's), gate_q10, gate_q50, gate_q90.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_pretrained(triple.vlm_folder, dtype=torch.float32).eval()
    model.requires_grad_(False)
    processor = AutoProcessor.from_pretrained(triple.vlm_folder)
    names = triple.names("mat")
    spectra = {name: decompose(triple.read("lrm", name) - triple.read("base", name)) for name in names}
    places = {name: triple.parameter_name(name).removesuffix(".weight") for name in names}
    modules = {name: model.get_submodule(place) for name, place in places.items()}
    injection = GatedInjection(modules, spectra, strength)
    batches = teacher_batches(
        model, processor, calibration.questions, batch_size=batch, max_new_tokens=max_new_tokens
    )
    optimizer = torch.optim.Adam(injection.logits.values(), lr=lr)  # no weight decay: it pulls gates to 1/2
    curve: dict[str, list[float]] = {
        k: [] for k in ("kl", "injected_energy", "gate_q10", "gate_q50", "gate_q90")
    }
    order = torch.Generator().manual_seed(seed)
    queue: list[int] = []
    for _ in track(range(steps), "gates"):
        queue = queue or torch.randperm(len(batches), generator=order).tolist()
        example = batches[queue.pop()]
        with injection.applied():
            kl = forward_kl(example.log_probs, answer_log_probs(model, example.inputs, example.answer))
            energy = injection.injected_energy()
            optimizer.zero_grad()
            (kl - alpha * energy).backward()
        for name, value in zip(
            curve, [kl.item(), energy.item(), *injection.quantiles(0.1, 0.5, 0.9)], strict=True
        ):
            curve[name].append(value)
        optimizer.step()
    log.info("KL %.4f, injected energy %.3f of tau_R's", curve["kl"][-1], curve["injected_energy"][-1])
    gates = {f"{name}/gate": logits.detach() for name, logits in injection.logits.items()}
    return gates | {f"curve/{name}": torch.tensor(values) for name, values in curve.items()}
