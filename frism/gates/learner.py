"""Learning gates: KL to the unmodified VLM's own answers against the injected energy, AdamW on the gates.

FRISM eq. 10: divergence - alpha * injected energy, over batches of unlabelled questions. One set of weights
is teacher (gates off) and student (gates on); all that precedes the first decoder layer, and the teacher's
answers and distributions, are worked out once. With a workspace, a run that was killed goes on where it was,
to the same bits on a CPU.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from torch import nn

from frism.compute import Compute
from frism.distillation.examples import make_examples
from frism.distillation.receiver import Receiver
from frism.distillation.teacher import TeacherSettings
from frism.gates.checkpointer import Checkpointer
from frism.gates.gated_model import GatedInjection
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.gates.task_vectors import TaskVectors
from frism.gates.training import GateTraining
from frism.method import Fitted, Fitting
from frism.spectra.spectra import Spectra
from frism.spectra.spectrum import Spectrum

log = logging.getLogger(__name__)


def learn(
    fitting: Fitting, gates: Gates, strength: float, learning: Learning, *, kl_weight: float = 1.0
) -> Fitted:
    """Learn the gates of every matrix in scope "mat".

    Args:
        fitting: its workspace keeps the teacher's answers (teacher-<key>/), the state and learning.csv
            (gates-<key>/) between kills, by keys of all that they depend on, so fits may share one.
        strength: lambda_lrm, the factor outside the gates.
        kl_weight: of the divergence in the loss; 0 measures it without learning from it.

    Returns per tensor "open" (open fractions, fp32 (k,)) and "open_tail" (scalar) where the spectrum is
    truncated, and the learning curve, (steps,): kl (nats per answer token), injected_energy (share of
    tau_R's, unless normaliser is "none"), gate_q10, gate_q50, gate_q90, and held_out_kl where questions are
    held out; each as it was before the step.

    Raises UserError for too few questions, unreadable pictures, and a loss that is not finite.
    """
    triple, calibration, spectra = fitting.triple, fitting.calibration, fitting.spectra
    compute, workspace, seed = fitting.compute, fitting.workspace, fitting.seed
    receiver = Receiver.load(triple, compute)
    temperature = learning.temperature if learning.top_k else 1.0  # of whole targets it is none of theirs
    asking = TeacherSettings(learning.max_new_tokens, learning.tokens, learning.top_k, temperature)
    batches = min(learning.steps, -(-len(calibration.questions) // learning.batch))
    answers, own, taught, key = None, None, "", ""
    if workspace is not None:
        taught = _digest(
            triple.digest["vlm"], calibration.digest, seed, vars(asking), learning.batch, batches,
            learning.held_out, compute.dtype, receiver.device.type, torch.__version__,
        )  # fmt: skip
        key = _digest(
            taught, triple.digest, spectra.settings.model_dump(), type(spectra).__qualname__, strength,
            vars(learning), vars(gates), kl_weight,
        )  # fmt: skip
        answers, own = workspace / f"teacher-{taught}", workspace / f"gates-{key}"
    examples, held_out = make_examples(
        receiver, calibration.questions, asking, batch=learning.batch, batches=batches,
        held_out=learning.held_out, seed=seed, folder=answers, key=taught,
    )  # fmt: skip
    injection = gate_model(receiver, spectra, strength=strength, gates=gates, compute=compute)
    run = GateTraining(receiver, injection, examples, held_out, learning, seed=seed, kl_weight=kl_weight)
    checkpointer = Checkpointer(own and own / "state.pt", key)
    if (state := checkpointer.load()) is not None:
        run.load_state(state)
        log.info("going on at step %d", len(run.curve))
    with _bar() as bar:
        task = bar.add_task(fitting.label, total=learning.steps, completed=len(run.curve), kl="", energy="")
        for row in run:
            bar.update(task, advance=1, kl=f"{row['kl']:.4f}", energy=f"{row['injected_energy']:.3f}")
            if checkpointer.save_if_due(run.state) and own is not None:
                run.curve.write(own / "learning.csv")
    if own is not None:
        run.curve.write(own / "learning.csv")
    log.info("KL %.4f, injected energy %.3f", run.curve.last("kl"), run.curve.last("injected_energy"))
    return Fitted(tensors=injection.coefficients(), curve=run.curve.tensors())


def gate_model(
    receiver: Receiver, spectra: Spectra, *, strength: float, gates: Gates, compute: Compute
) -> GatedInjection:
    """Gates on every matrix in scope "mat" of a loaded V; the spectra are read one after the other."""
    return GatedInjection(
        receiver.modules, _Read(spectra, receiver.modules), strength, gates,
        task_vectors=TaskVectors(spectra, receiver.modules), factors=compute.factors,
    )  # fmt: skip


class _Read(Mapping[str, Spectrum]):
    """Spectra as a mapping, read or computed on the device of the matrix when asked for."""

    def __init__(self, spectra: Spectra, modules: Mapping[str, nn.Linear]) -> None:
        self._spectra, self._modules = spectra, modules

    def __getitem__(self, name: str) -> Spectrum:
        device = self._modules[name].weight.device
        return self._spectra.load(name, "cpu" if device.type == "meta" else device)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _bar() -> Progress:
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), "KL {task.fields[kl]}",
               "energy {task.fields[energy]}", TimeRemainingColumn())  # fmt: skip
    return Progress(*columns, console=Console(stderr=True))
