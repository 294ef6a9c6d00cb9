"""Methods that learn on calibration questions, beside the same computed the plain way."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor

from baselines import sar
from baselines._experts import Asking, measure_both_fishers, measure_both_inputs
from frism.compute import Compute
from frism.distillation.examples import Examples, make_examples
from frism.distillation.experts import Expert, Role
from frism.distillation.receiver import Receiver
from frism.distillation.statistics import measure_fisher
from frism.distillation.teacher import TeacherSettings
from frism.gates.alignment import _collect, _teach, measure_distance
from frism.gates.gated_model import GatedInjection
from frism.gates.learning import Learning
from frism.gates.parametrisation import Gates
from frism.gates.task_vectors import TaskVectors
from frism.gates.training import GateTraining, Objective
from frism.merging.on_load import merge
from frism.method import discovery
from frism.method.fitting import Fitting
from frism.method.recipe import Recipe
from frism.method.site import Site
from frism.seeds import make_generator
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


@pytest.fixture(scope="module")
def fitting(triple: Triple, calibration: SimpleNamespace) -> Fitting:
    return Fitting(triple, calibration=calibration)


def plain_inputs(triple: Triple, calibration: SimpleNamespace, role: str, index: int) -> Any:
    """The model with the role's tower, and one question as it is asked, made without the project's code."""
    model = AutoModelForImageTextToText.from_pretrained(triple.vlm_folder).eval()
    if role == "lrm":
        tower = AutoModelForCausalLM.from_pretrained(triple.lrm_folder).model
        own = dict(model.model.language_model.named_parameters())
        with torch.no_grad():
            for name, parameter in tower.named_parameters():
                if "embed" not in name:
                    own[name].copy_(parameter)
    processor = AutoProcessor.from_pretrained(triple.vlm_folder)
    picture, text = calibration.questions[index]
    content = [{"type": "image"}] * (role == "vlm") + [{"type": "text", "text": text}]
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    pictures = {"images": [picture]} if role == "vlm" else {}
    return model, dict(processor(text=[prompt], return_tensors="pt", **pictures))


def extend(inputs: dict[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
    """The prompt with an answer's tokens but the last."""
    more = {"input_ids": tokens[None, :-1], "attention_mask": torch.ones_like(tokens)[None, :-1],
            "mm_token_type_ids": torch.zeros_like(tokens)[None, :-1]}  # fmt: skip
    return {k: torch.cat([v, more[k].to(v.dtype)], dim=1) if k in more else v for k, v in inputs.items()}


@pytest.mark.parametrize("role", ["vlm", "lrm"])
def test_an_expert_answers_as_itself(
    role: Role, triple: Triple, fitting: Fitting, calibration: SimpleNamespace
) -> None:
    expert = Expert.ask(fitting, role, questions=1, max_new_tokens=3)
    index = torch.randperm(8, generator=torch.Generator().manual_seed(0)).tolist()[0]
    model, inputs = plain_inputs(triple, calibration, role, index)
    tokens = expert.examples[0].tokens
    with torch.no_grad():
        logits = model(**extend(inputs, tokens)).logits[0, -len(tokens) :]
        torch.testing.assert_close(expert.examples[0].logits(expert.receiver), logits, atol=1e-4, rtol=1e-4)
    forbidden = [model.config.image_token_id, model.config.video_token_id]
    logits[:, forbidden] = -torch.inf
    assert logits.argmax(-1).tolist() == tokens.tolist()


def test_fisher_information_by_plain_autograd(
    triple: Triple, fitting: Fitting, calibration: SimpleNamespace
) -> None:
    """The same draws, gradients of the whole model question by question."""
    name = "layers.2.mlp.up_proj.weight"
    expert = Expert.ask(fitting, "vlm", questions=2, max_new_tokens=3)
    found = measure_fisher(expert, {name: triple.parameter_name(name)}, make_generator(0, "x"))[name]
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0)).tolist()
    lengths, generator, expected = [], make_generator(0, "x"), torch.zeros_like(found)
    for index in order[:2]:
        model, inputs = plain_inputs(triple, calibration, "vlm", index)
        lengths.append((inputs["input_ids"].shape[1], model, inputs))
    for (_, model, inputs), example in zip(sorted(lengths, key=lambda x: x[0]), expert.examples, strict=True):
        logits = model(**extend(inputs, example.tokens)).logits[0, -len(example.tokens) :]
        drawn = torch.multinomial(logits.detach().softmax(-1), 1, generator=generator)[:, 0]
        torch.nn.functional.cross_entropy(logits, drawn, reduction="sum").backward()
        expected += model.get_parameter(f"model.language_model.{name}").grad.square() / 2
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=2e-3)


def test_fisher_information_is_unbiased_on_one_token(fitting: Fitting, triple: Triple) -> None:
    """The mean over draws is the exact sum over the vocabulary."""
    name = "norm.weight"
    expert = Expert.ask(fitting, "lrm", questions=1, max_new_tokens=1)
    path = {name: triple.parameter_name(name)}
    draws = [measure_fisher(expert, path, make_generator(seed, "x"))[name] for seed in range(400)]
    found, spread = torch.stack(draws).mean(0), torch.stack(draws).std(0) / 20
    parameter = expert.receiver.model.get_parameter(path[name]).requires_grad_(True)
    logs = expert.examples[0].logits(expert.receiver).log_softmax(-1)[0]
    exact = torch.zeros_like(found)
    for log in logs:
        exact += log.exp().detach() * torch.autograd.grad(log, parameter, retain_graph=True)[0].square()
    parameter.requires_grad_(False)
    assert ((found - exact).abs() <= 5 * spread + 1e-6).float().mean() > 0.98


def test_fisher_merging_in_numpy(triple: Triple, fitting: Fitting) -> None:
    params = {"vlm_weight": 0.7, "floor": 0.1, "questions": 2, "max_new_tokens": 2}
    fitted = discovery.find("fisher").run_fit(fitting, params)
    measured = measure_both_fishers(fitting, Asking(2, 2))
    means = {r: np.concatenate([f.numpy().ravel() for f in t.values()]).astype(float).mean()
             for r, t in measured.items()}  # fmt: skip
    recipe = Recipe.make(triple, "fisher", params, fitted=fitted)
    for name, merged in merge(triple, recipe, fitted):
        v, r = (triple.read(role, name).double().numpy() for role in ("vlm", "lrm"))
        f_v, f_r = (np.maximum(measured[k][name].double().numpy() / means[k], 0.1) for k in ("vlm", "lrm"))
        expected = (0.7 * f_v * v + 0.3 * f_r * r) / (0.7 * f_v + 0.3 * f_r)
        np.testing.assert_allclose(merged.double().numpy(), expected, atol=1e-6, rtol=1e-5)


def test_regmean_is_the_least_squares_solution(
    triple: Triple, fitting: Fitting, calibration: SimpleNamespace
) -> None:
    """Of all rows of inputs of both models, read by hooks of the test's own, by numpy's solver."""
    params = {"vlm_weight": 0.6, "off_diagonal": 1.0, "questions": 3, "max_new_tokens": 3}
    fitted = discovery.find("regmean").run_fit(fitting, params)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0)).tolist()[:3]
    name = "layers.1.mlp.down_proj.weight"
    inputs: dict[str, list[np.ndarray]] = {"vlm": [], "lrm": []}
    for role in ("vlm", "lrm"):
        expert = Expert.ask(fitting, role, questions=3, max_new_tokens=3)
        prompts = [plain_inputs(triple, calibration, role, index) for index in order]
        prompts.sort(key=lambda pair: pair[1]["input_ids"].shape[1])  # as they are asked; sorting is stable
        for (model, asked), example in zip(prompts, expert.examples, strict=True):
            layer = model.get_submodule(f"model.language_model.{name.removesuffix('.weight')}")
            layer.register_forward_pre_hook(
                lambda module, x, role=role: inputs[role].append(x[0][0].double().numpy())
            )
            with torch.no_grad():
                model(**extend(asked, example.tokens))
    rows, targets = [], []
    for role, weight in (("vlm", 0.6), ("lrm", 0.4)):
        x = np.concatenate(inputs[role])
        x = x * np.sqrt(weight / len(x))
        rows.append(x)
        targets.append(x @ triple.read(role, name).double().numpy().T)
    # Fewer tokens than inputs: many matrices fit as well, so what they do to the inputs is compared.
    best = np.linalg.lstsq(np.concatenate(rows), np.concatenate(targets), rcond=None)[0].T
    found = (triple.read("vlm", name) + fitted.tensors[name]["change"]).double().numpy()

    def miss(matrix: np.ndarray) -> float:
        return sum(np.linalg.norm(x @ matrix.T - y) ** 2 for x, y in zip(rows, targets, strict=True))

    either = [miss(triple.read(role, name).double().numpy()) for role in ("vlm", "lrm")]
    assert miss(best) <= miss(found) <= miss(best) + 1e-3 * min(either)


def test_regmean_without_correlations_is_a_mean_of_columns(triple: Triple, fitting: Fitting) -> None:
    params = {"vlm_weight": 0.5, "off_diagonal": 0.0, "questions": 2, "max_new_tokens": 2}
    fitted = discovery.find("regmean").run_fit(fitting, params)
    measured = measure_both_inputs(fitting, Asking(2, 2))
    for name, entries in fitted.tensors.items():
        g_v, g_r = (measured[role][name].double().diagonal() for role in ("vlm", "lrm"))
        v, r = (triple.read(role, name).double() for role in ("vlm", "lrm"))
        expected = (g_v * v + g_r * r) / (g_v + g_r) - v
        torch.testing.assert_close(entries["change"].double(), expected, atol=1e-5, rtol=1e-3)


def test_sar_keeps_the_more_sensitive_of_two_against_each_other() -> None:
    base = torch.zeros(4)
    vlm, lrm = torch.tensor([1.0, -2.0, 3.0, 0.5]), torch.tensor([2.0, 1.0, -1.0, 0.0])
    wins = torch.tensor([1, 0, 1, 0], dtype=torch.uint8)
    site = Site.of(base, vlm, lrm, fitted={"lrm_wins": wins})
    expected = torch.tensor([3.0, -2.0, -1.0, 0.5])
    torch.testing.assert_close(sar.merge(site, density=1.0), expected)
    thinned = torch.tensor([3.0, -2.0, 0.0, 0.0]) * 6.5 / 5
    torch.testing.assert_close(sar.merge(site, density=0.5, strength=2.0), 2 * thinned)


def test_expert_merging_measures_both_distances(triple: Triple, fitting: Fitting, receiver: Receiver) -> None:
    """Of R itself nothing is left; of V to R what plain KL and plain differences give."""
    expert = Expert.ask(fitting, "lrm", batch=2, questions=2, max_new_tokens=3)
    (lesson,) = _teach(expert)
    assert all(float(part) < 1e-6 for part in measure_distance(expert.receiver, lesson))
    kl, hidden = measure_distance(receiver, lesson)
    with torch.no_grad():
        tower = receiver.tower(**lesson.example.call, output_hidden_states=True)
        theirs = expert.receiver.tower(**lesson.example.call, output_hidden_states=True)
        p, q = (lesson.example.logits(r).double().log_softmax(-1) for r in (expert.receiver, receiver))
    torch.testing.assert_close(kl.double(), (p.exp() * (p - q)).sum(-1).mean(), atol=1e-5, rtol=1e-3)
    mask = lesson.example.answer
    middle = zip(tower.hidden_states[1:-1], theirs.hidden_states[1:-1], strict=True)  # the last is normed
    parts = [(one[mask] - other[mask]).square().mean() for one, other in middle]
    with _collect(receiver) as states:
        lesson.example.logits(receiver)
    last = (states[-1][mask] - lesson.hidden[-1]).square().mean()
    torch.testing.assert_close(hidden, torch.stack([*parts, last]).mean(), atol=1e-6, rtol=1e-4)


def test_expert_merging_follows_the_weights(triple: Triple, fitting: Fitting) -> None:
    """R alone pulls the coefficients up, V alone down; a strong wish to stay keeps them."""
    method, found = discovery.find("expert_merging"), {}
    options = {"vlm": {"lrm_weight": 0.0}, "lrm": {"lrm_weight": 1e4}, "stay": {"stay": 1e6}}
    for name, more in options.items():
        params = {"steps": 6, "batch": 4, "max_new_tokens": 3, "questions": 8, "lr": 0.02, "strength": 1.0}
        fitted = method.run_fit(fitting, params | more)
        found[name] = torch.stack([entries["open"][0] for entries in fitted.tensors.values()])
    assert found["vlm"].mean() < 0.5 < found["lrm"].mean()
    assert (found["stay"] - 0.5).abs().max() < 0.03
