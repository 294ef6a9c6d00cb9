"""Knock-outs do what they say: constants in the matrices, silence, the mean in an output's place."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.analyses import knock_out
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.intervention import INTACT, Intervention
from benchmarks.analyses.measuring.module_means import get_output, measure_means
from benchmarks.answering.transformers_engine import TransformersEngine
from frism.triples.triple import Triple


@pytest.fixture
def ground(triple: Triple, engine: TransformersEngine, calibration: SimpleNamespace) -> Ground:
    def measure(paths: list[str], number: int) -> Any:
        return measure_means(engine.model, engine.processor, paths, calibration.questions, number)

    return Ground(triple, lambda: engine.model, measure, "digest")


def step(ground: Ground, **params: Any) -> Intervention:
    """The first knock-out: layer 0, or a block that starts with it."""
    intact, first, *_ = knock_out.intervene(ground, **params)
    assert intact == INTACT
    return first


def outputs(ground: Ground, path: str, run: Any) -> torch.Tensor:
    seen = []
    handle = ground.module(path).register_forward_hook(lambda m, i, output: seen.append(get_output(output)))
    run()
    handle.remove()
    return seen[0]


def ask(ground: Ground, engine: TransformersEngine, questions: Any) -> torch.Tensor:
    from frism.distillation.prompts import prepare_questions

    with torch.inference_mode():
        return engine.model(**prepare_questions(engine.processor, questions, [0])[0]).logits


def test_the_published_knock_out_is_a_constant_of_the_output_rows(ground: Ground) -> None:
    name, other = "layers.0.mlp.down_proj.weight", "layers.0.self_attn.q_proj.weight"
    before, untouched = ground.parameter(name).clone(), ground.parameter(other).clone()
    with step(ground, module="mlp", replacement="reciprocal").apply():
        knocked = ground.parameter(name)
        assert torch.equal(knocked, torch.full_like(knocked, 1 / knocked.shape[0]))
        assert torch.equal(ground.parameter(other), untouched)
        assert torch.equal(
            ground.parameter("layers.1.mlp.down_proj.weight"),
            ground.read_vlm("layers.1.mlp.down_proj.weight"),
        )
    assert torch.equal(ground.parameter(name), before)


@pytest.mark.parametrize("module", ["attention", "mlp"])
def test_zero_silences_a_module(
    ground: Ground, engine: TransformersEngine, calibration: Any, module: str
) -> None:
    path = ground.module_path(0, module)
    assert path.endswith("layers.0.mlp" if module == "mlp" else "layers.0.self_attn")
    with step(ground, module=module, replacement="zero").apply():
        silent = outputs(ground, path, lambda: ask(ground, engine, calibration.questions))
    assert silent.abs().max() == 0


@pytest.mark.parametrize("module", ["attention", "mlp"])
def test_the_mean_over_calibration_questions_takes_the_outputs_place(
    ground: Ground, engine: TransformersEngine, calibration: Any, module: str
) -> None:
    path = ground.module_path(0, module)
    plain = ask(ground, engine, calibration.questions)
    own = outputs(ground, path, lambda: ask(ground, engine, calibration.questions)).flatten(0, -2)
    knocked = step(ground, module=module, replacement="mean", calibrated=1)
    assert knocked.inputs == "digest 1"
    with knocked.apply():
        put = outputs(ground, path, lambda: ask(ground, engine, calibration.questions)).flatten(0, -2)
        other = ask(ground, engine, calibration.questions)
    torch.testing.assert_close(put, own.mean(0).expand_as(put))
    assert not torch.equal(other, plain)
    assert torch.equal(ask(ground, engine, calibration.questions), plain)


def test_means_are_over_all_tokens_of_all_questions(
    ground: Ground, engine: TransformersEngine, calibration: Any
) -> None:
    path = ground.module_path(2, "mlp")
    every = measure_means(engine.model, engine.processor, [path], calibration.questions, 3)
    each = [
        measure_means(engine.model, engine.processor, [path], calibration.questions[n : n + 1], 1)[path]
        for n in range(3)
    ]
    from frism.distillation.prompts import prepare_questions

    lengths = [
        len(row["input_ids"][0])
        for row in prepare_questions(engine.processor, calibration.questions, range(3))
    ]
    mean = sum(n * m for n, m in zip(lengths, each, strict=True)) / sum(lengths)
    torch.testing.assert_close(every[path], mean)


def test_a_raised_error_restores_the_model(ground: Ground) -> None:
    name = "layers.0.mlp.up_proj.weight"
    before = ground.parameter(name).clone()
    with pytest.raises(KeyboardInterrupt), step(ground, module="mlp", replacement="zero").apply():
        assert not ground.parameter(name).any()
        raise KeyboardInterrupt
    assert torch.equal(ground.parameter(name), before)


def test_a_model_of_another_make_is_named(triple: Triple) -> None:
    empty = Ground(triple, lambda: torch.nn.Linear(1, 1))
    with pytest.raises(Exception, match=r"layers.0.mlp.up_proj.weight is no parameter of the loaded Linear"):
        empty.parameter("layers.0.mlp.up_proj.weight")


def test_an_offloaded_tensor_is_named(triple: Triple) -> None:
    from frism.merging.on_load import outline

    away = Ground(triple, lambda: outline(triple, None))
    with pytest.raises(Exception, match=r"layers.0.mlp.up_proj.weight is offloaded"):
        away.parameter("layers.0.mlp.up_proj.weight")
