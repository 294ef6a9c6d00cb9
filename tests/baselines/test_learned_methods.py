"""Methods that learn on calibration questions, beside the same computed the plain way."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from frism.compute import Compute
from frism.distillation.examples import Examples, make_examples
from frism.distillation.receiver import Receiver
from frism.distillation.teacher import TeacherSettings
from frism.gates.gated_model import GatedInjection
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.gates.task_vectors import TaskVectors
from frism.gates.training import GateTraining, Objective
from frism.method import discovery
from frism.method.fitting import Fitting
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple

FIT = {"steps": 3, "batch": 4, "max_new_tokens": 3, "lr": 0.05}


@pytest.fixture(scope="module")
def receiver(triple: Triple) -> Receiver:
    return Receiver.load(triple, Compute())


@pytest.fixture(scope="module")
def examples(receiver: Receiver, calibration: SimpleNamespace) -> Examples:
    settings = TeacherSettings(max_new_tokens=2)
    return make_examples(receiver, calibration.questions, settings, batch=4, batches=2)[0]


def inject(receiver: Receiver, triple: Triple, gates: Gates, strength: float = 1.0) -> GatedInjection:
    spectra = Spectra(triple)
    found = {name: spectra.load(name) for name in receiver.modules}
    vectors = TaskVectors(spectra, receiver.modules)
    return GatedInjection(receiver.modules, found, strength, gates, task_vectors=vectors)


def train(
    receiver: Receiver, injection: GatedInjection, examples: Examples, objective: Objective = "kl"
) -> GateTraining:
    settings = Learning(batch=4, steps=1, alpha=0.3)
    return GateTraining(
        receiver, injection, examples, Examples(examples._cache, 0, 0), settings, objective=objective
    )


def gradients(training: GateTraining, example: int) -> Iterator[tuple[str, Tensor]]:
    """Of the loss by gate, without a step."""
    with training.injection.apply():
        _, learned = training._losses(training.examples[example])
        (learned - 0.3 * training.injection.injected_energy()).backward()
    for name, logits in training.injection.logits.items():
        assert logits.grad is not None
        yield name, logits.grad


def test_a_layer_coefficient_gets_the_gradients_of_its_matrices(
    receiver: Receiver, triple: Triple, examples: Examples
) -> None:
    tied = inject(receiver, triple, Gates("free", shared=True, by_layer=True))
    assert len(tied.parameters()) == triple.layers
    by_layer = {triple.layer(name): grad for name, grad in gradients(train(receiver, tied, examples), 0)}
    single = inject(receiver, triple, Gates("free", shared=True))
    sums: dict[int | None, Tensor] = {}
    for name, grad in gradients(train(receiver, single, examples), 0):
        sums[triple.layer(name)] = sums.get(triple.layer(name), 0) + grad
    assert by_layer.keys() == sums.keys()
    for layer, grad in sums.items():
        torch.testing.assert_close(by_layer[layer], grad, atol=1e-5, rtol=1e-3)


@torch.no_grad()
def merged_logits(receiver: Receiver, triple: Triple, examples: Examples, share: float) -> list[Tensor]:
    """Of V + share * tau_R, the matrices written into the model."""
    kept = {name: module.weight.clone() for name, module in receiver.modules.items()}
    for name, module in receiver.modules.items():
        module.weight += share * (triple.read("lrm", name) - triple.read("base", name))
    found = [example.logits(receiver) for example in examples]
    for name, module in receiver.modules.items():
        module.weight.copy_(kept[name])
    return found


def test_the_entropy_is_that_of_the_merged_model(
    receiver: Receiver, triple: Triple, examples: Examples
) -> None:
    injection = inject(receiver, triple, Gates("free", shared=True), strength=0.8)
    training = train(receiver, injection, examples, "entropy")
    for example, logits in zip(examples, merged_logits(receiver, triple, examples, 0.4), strict=True):
        with torch.no_grad(), injection.apply():
            divergence, entropy = training._losses(example)
        p = logits.double().softmax(-1)
        torch.testing.assert_close(entropy.double(), -(p * p.log()).sum(-1).mean(), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(
            divergence, example.target.divergence(receiver, logits), atol=1e-4, rtol=1e-3
        )


def test_lower_entropy_is_what_adarank_learns(triple: Triple, calibration: SimpleNamespace) -> None:
    """Its masks open and shut by the sign of the gradient alone; nothing is between."""
    fitting = Fitting(triple, calibration=calibration)
    for method, more in (("adarank_entropy", {}), ("adarank_kl", {"alpha": 0.01, "kept": 0.5})):
        fitted = discovery.find(method).run_fit(fitting, {**FIT, **more, "lr": 0.2, "strength": 1.0})
        opened = torch.cat([entries["open"] for entries in fitted.tensors.values()])
        assert set(opened.tolist()) == {0.0, 1.0}


def test_ada_kl_layer_gives_one_coefficient_a_layer(triple: Triple, calibration: SimpleNamespace) -> None:
    fitted = discovery.find("ada_kl_layer").run_fit(Fitting(triple, calibration=calibration), FIT)
    found = {triple.layer(name): set() for name in fitted.tensors}
    for name, entries in fitted.tensors.items():
        found[triple.layer(name)] |= set(entries["open"].tolist())
    assert all(len(values) == 1 for values in found.values())
    assert len({values.pop() for values in found.values()}) == triple.layers
