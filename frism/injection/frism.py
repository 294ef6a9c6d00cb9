"""FRISM: one learned gate per singular direction of tau_R.

V + strength * U diag(sigmoid(g) S) V^T with U S V^T = SVD(tau_R); arXiv 2601.21187 (eq. 7 to 10).
The gates minimise forward KL to the unmodified VLM on its own greedy answers to unlabelled
perception questions, minus alpha times the injected energy. Deviations: none known; the paper
publishes no hyper-parameters, so strength and those of learning are this project's defaults.
"""

import logging
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from frism.compute import Compute
from frism.distillation import answer_log_probs, forward_kl, teacher_batches
from frism.gates.injection import GatedInjection, injected
from frism.gates.learning import Learning
from frism.spectra.spectra import Spectra
from frism.spectra.spectrum import Spectrum
from frism.triples.triple import Triple

log = logging.getLogger(__name__)


def merge(
    base: Tensor,
    vlm: Tensor,
    lrm: Tensor,
    *,
    strength: float = 0.2,
    spectrum: Spectrum,
    fitted: dict[str, Tensor],
) -> Tensor:
    """One matrix (d_out, d_in), fp32. `fitted["open"]`: the learned open fractions sigmoid(g), shape (k,)."""
    return injected(vlm, base, lrm, spectrum, fitted, strength)


def fit(
    triple: Triple,
    calibration: Any,  # with `questions`: a sequence of (picture, question)
    *,
    strength: float = 0.2,
    learning: Learning,
    spectra: Spectra,
    compute: Compute,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Learn the gates.

    Returns "<tensor name>/open" (open fractions, fp32) for every matrix in scope, and the learning curve as
    "curve/<quantity>" of shape (steps,): kl (nats per answer token), injected_energy (share of
    tau_R's), gate_q10, gate_q50, gate_q90.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_pretrained(triple.vlm_folder, dtype=compute.torch_dtype).eval()
    model.requires_grad_(False)
    processor = AutoProcessor.from_pretrained(triple.vlm_folder)
    names = triple.names("mat")
    found = {name: spectra.of(name) for name in names}
    places = {name: triple.parameter_name(name).removesuffix(".weight") for name in names}
    modules = {name: model.get_submodule(place) for name, place in places.items()}
    injection = GatedInjection(modules, found, strength)
    batches = teacher_batches(
        model, processor, calibration.questions,
        batch_size=learning.batch, max_new_tokens=learning.max_new_tokens,
    )  # fmt: skip
    optimizer = torch.optim.Adam(injection.logits.values(), lr=learning.lr)
    curve: dict[str, list[float]] = {
        k: [] for k in ("kl", "injected_energy", "gate_q10", "gate_q50", "gate_q90")
    }
    order = torch.Generator().manual_seed(seed)
    queue: list[int] = []
    for _ in track(range(learning.steps), "gates"):
        queue = queue or torch.randperm(len(batches), generator=order).tolist()
        example = batches[queue.pop()]
        with injection.applied():
            kl = forward_kl(example.log_probs, answer_log_probs(model, example.inputs, example.answer))
            energy = injection.injected_energy()
            optimizer.zero_grad()
            (kl - learning.alpha * energy).backward()
        for name, value in zip(
            curve, [kl.item(), energy.item(), *injection.quantiles(0.1, 0.5, 0.9)], strict=True
        ):
            curve[name].append(value)
        optimizer.step()
    log.info("KL %.4f, injected energy %.3f of tau_R's", curve["kl"][-1], curve["injected_energy"][-1])
    gates = {f"{name}/open": torch.sigmoid(logits.detach()) for name, logits in injection.logits.items()}
    return gates | {f"curve/{name}": torch.tensor(values) for name, values in curve.items()}
