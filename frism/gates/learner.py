"""Learn gates: KL to the unmodified VLM's own answers against the injected energy, AdamW on the gates.

FRISM eq. 10: divergence - alpha * injected energy, over batches of unlabelled questions. One set of weights
is teacher (gates off) and student (gates on); all that precedes the first decoder layer, and the teacher's
answers and distributions, are computed once. With a workspace, a run that was killed resumes where it
was, to the same bits on a CPU.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping

import torch
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
from frism.gates.training import GateTraining, Objective
from frism.method import Fitted, Fitting
from frism.progress import Progress
from frism.spectra.spectra import Spectra
from frism.spectra.spectrum import Spectrum
from frism.triples.scopes import DEFAULT_SCOPE, in_scope


def learn(
    fitting: Fitting,
    gates: Gates,
    strength: float,
    learning: Learning,
    *,
    kl_weight: float = 1.0,
    objective: Objective = "kl",
) -> Fitted:
    """Learn the gates of every matrix in scope.

    Args:
        fitting: its workspace keeps the teacher's answers (teacher-<key>/), the state and learning.csv
            (gates-<key>/) between kills, by keys of all that they depend on, so fits may share one.
        strength: lambda_lrm, the factor outside the gates.
        kl_weight: of the divergence in the loss; 0 measures it without learning from it.
        objective: "entropy" learns from the student's own entropy instead.

    Returns per tensor "open" (open fractions, fp32 (k,)) and "open_tail" (scalar) where the spectrum is
    truncated, and the learning curve, (steps,): kl (nats per answer token), injected_energy (share of
    tau_R's, unless normaliser is "none"), gate_q10, gate_q50, gate_q90, and held_out_kl where questions are
    held out; each as it was before the step.

    Raises UserError for too few questions, unreadable pictures, and a loss that is not finite.
    """
    triple, calibration, spectra = fitting.triple, fitting.calibration, fitting.spectra
    compute, workspace, seed = fitting.compute, fitting.workspace, fitting.seed
    receiver = Receiver.load(triple, compute)
    temperature = learning.temperature if learning.top_k else 1.0  # full distributions are stored untempered
    teacher = TeacherSettings(learning.max_new_tokens, learning.tokens, learning.top_k, temperature)
    batches = min(learning.steps, -(-len(calibration.questions) // learning.batch))
    teacher_folder, folder, teacher_key, key = None, None, "", ""
    if workspace is not None:
        teacher_key = _digest(
            triple.digest["vlm"], calibration.digest, seed, vars(teacher), learning.batch, batches,
            learning.held_out, compute.dtype, receiver.device.type, torch.__version__,
        )  # fmt: skip
        key = _digest(
            teacher_key, triple.digest, spectra.settings.model_dump(), type(spectra).__qualname__, strength,
            vars(learning), vars(gates), kl_weight, objective,
        )  # fmt: skip
        teacher_folder, folder = workspace / f"teacher-{teacher_key}", workspace / f"gates-{key}"
    examples, held_out = make_examples(
        receiver, calibration.questions, teacher, batch=learning.batch, batches=batches,
        held_out=learning.held_out, seed=seed, folder=teacher_folder, key=teacher_key,
    )  # fmt: skip
    injection = gate_model(
        receiver, spectra, strength=strength, gates=gates, compute=compute, scope=fitting.scope
    )
    training = GateTraining(
        receiver, injection, examples, held_out, learning, seed=seed, kl_weight=kl_weight, objective=objective
    )
    checkpointer = Checkpointer(folder and folder / "state.pt", key)
    if (state := checkpointer.load()) is not None:
        training.load_state(state)
    with Progress(fitting.label, learning.steps, "steps", done=len(training.curve)) as progress:
        for row in training:
            progress.advance(note=f"KL {row['kl']:.4f}, injected energy {row['injected_energy']:.3f}")
            if checkpointer.save_if_due(training.state) and folder is not None:
                training.curve.write(folder / "learning.csv")
    if folder is not None:
        training.curve.write(folder / "learning.csv")
    return Fitted(tensors=injection.coefficients(), curve=training.curve.tensors())


def gate_model(
    receiver: Receiver,
    spectra: Spectra,
    *,
    strength: float,
    gates: Gates,
    compute: Compute,
    scope: str = DEFAULT_SCOPE,
) -> GatedInjection:
    """Put gates on every matrix in scope of a loaded V; the spectra are read one after the other."""
    modules = {name: module for name, module in receiver.modules.items() if in_scope(name, scope)}
    return GatedInjection(
        modules, _SpectrumMapping(spectra, modules), strength, gates,
        task_vectors=TaskVectors(spectra, modules), factors=compute.factors,
    )  # fmt: skip


class _SpectrumMapping(Mapping[str, Spectrum]):
    """Map names to spectra, read or computed on the device of the matrix on access."""

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
