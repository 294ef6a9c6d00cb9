"""vLLM itself on the committed miniature: one engine for all variants, its caches, its faults, its pool."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.answering.engine import open_engine, plan_engine
from benchmarks.answering.predictions import Prediction
from benchmarks.answering.sampling import list_samples
from benchmarks.study.sampling_settings import SamplingSettings
from frism.errors import UserError
from frism.merging.export import Job, export
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.support import vllm as support
from tests.support.vllm import Answers, ask, inject, opened, settings

pytestmark = support.MARKS
METAGPT = Fitted({"vlm": torch.tensor(0.4), "lrm": torch.tensor(0.8)})


@pytest.fixture(scope="module")
def triple() -> Triple:
    return support.open_miniature()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("items")
    support.write_questions(folder, 60)
    return folder


@pytest.fixture(scope="module")
def items(folder: Path) -> list:
    return support.read_questions(folder)


@pytest.fixture(scope="module")
def engine(triple: Triple, folder: Path) -> Iterator[Any]:
    """One vLLM for the whole file; every test says which variant it wants."""
    with opened(triple, settings(), folder) as engine:
        yield engine


@pytest.fixture(scope="module")
def variants(triple: Triple) -> list[tuple[Recipe, Fitted]]:
    """V, merges of several scopes and kinds, and one with coefficients; the first two again at the end."""
    made = [
        (Recipe.make(triple, "vlm"), Fitted()),
        (inject(triple, 0.9), Fitted()),
        (Recipe.make(triple, "ties", {"density": 0.5}, scope="mat+bias+norm"), Fitted()),
        (Recipe.make(triple, "metagpt", fitted=METAGPT), METAGPT),
        (Recipe.make(triple, "dare_linear", {"density": 0.5}, seed=3), Fitted()),
        (Recipe.make(triple, "ip_released", {"strength": 8.0}), Fitted()),
    ]
    return [*made, *made[1::-1]]


@pytest.fixture(scope="module")
def expected(triple: Triple, folder: Path, items: list, variants: list) -> dict[str, Answers]:
    """What the default engine answers with each variant, by its recipe's key."""
    found: dict[str, Answers] = {}
    with opened(triple, settings("transformers"), folder) as engine:
        for recipe, fitted in variants:
            if recipe.key not in found:
                engine.become(triple, recipe, fitted)
                found[recipe.key] = ask(engine, items)
    return found


def test_one_engine_goes_through_variants_and_back(
    engine: Any, triple: Triple, items: list, variants: list, expected: dict[str, Answers]
) -> None:
    for recipe, fitted in variants:
        engine.become(triple, recipe, fitted)
        assert ask(engine, items) == expected[recipe.key], recipe.name
    kinds = list(expected.values())
    assert all(a != b for n, a in enumerate(kinds) for b in kinds[:n]), "variants that differ"


def test_the_plan_gives_the_engines_keys(engine: Any, triple: Triple, folder: Path, items: list) -> None:
    plan = plan_engine(triple, None, settings(), folder)
    assert plan is not None
    assert [b.keys for b in plan.batches(items, {})] == [b.keys for b in engine.batches(items, {})]


def test_answers_that_nobody_waits_for_disturb_nothing(
    engine: Any, triple: Triple, items: list, variants: list, expected: dict[str, Answers]
) -> None:
    """A run that ends after its first batch has left others under way."""
    (v, _), (a, _) = variants[:2]
    engine.become(triple, v, Fitted())
    under_way: Iterator[list[Prediction]] = engine.answers(engine.batches(items, {}))
    next(under_way)
    under_way.close()  # type: ignore[attr-defined]
    engine.become(triple, a, Fitted())
    assert ask(engine, items) == expected[a.key]


def test_a_stale_prefix_cache_would_answer_for_the_variant_before(
    engine: Any, triple: Triple, items: list, variants: list, expected: dict[str, Answers],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The trap is real: without the reset answers to repeated questions are wrong, and nothing says so."""
    (v, _), (a, _) = variants[:2]
    engine.become(triple, v, Fitted())
    assert ask(engine, items) == expected[v.key]
    monkeypatch.setattr(engine.model, "forget", engine.model._llm.llm_engine.reset_encoder_cache)
    engine.become(triple, a, Fitted())
    wrong = sum(x != y for x, y in zip(ask(engine, items), expected[a.key], strict=True))
    assert wrong > 0
    monkeypatch.undo()
    engine.become(triple, v, Fitted())
    assert ask(engine, items) == expected[v.key]
    engine.become(triple, a, Fitted())
    assert ask(engine, items) == expected[a.key]


def test_a_merge_that_breaks_off_leaves_an_engine_that_goes_on(
    engine: Any, triple: Triple, items: list, variants: list, expected: dict[str, Answers]
) -> None:
    broken = Fitted({"vlm": torch.tensor(0.4), "lrm": torch.tensor(float("nan"))})
    with pytest.raises(UserError, match=r"metagpt|NaN|finite"):
        engine.become(triple, Recipe.make(triple, "metagpt", fitted=broken), broken)
    with pytest.raises(UserError):  # it tries again, and fails again: nothing is answered
        ask(engine, items[:1])
    recipe, fitted = variants[3]
    engine.become(triple, recipe, fitted)
    assert ask(engine, items) == expected[recipe.key]


def test_every_export_loads_and_answers_as_the_swap_does(
    engine: Any, triple: Triple, items: list, variants: list, expected: dict[str, Answers], tmp_path: Path
) -> None:
    """By vLLM's own loader, which reads all weights that lie in the folder's root."""
    for number, (recipe, fitted) in enumerate(variants[1:6]):
        out = tmp_path / str(number)
        export(Job.from_recipe(triple, recipe, fitted, out))
        engine.become(triple, variants[0][0], Fitted())  # or what is looked at might be what was there
        ask(engine, items[:20])
        engine.model._llm.collective_rpc("reload_weights", kwargs={"weights_path": str(out)})
        engine.model.forget()
        found = [p for replies in [engine.answers(engine.batches(items, {}))] for b in replies for p in b]
        assert [(p.raw, p.tokens, p.truncated) for p in found] == expected[recipe.key], recipe.name


def test_a_sample_depends_on_its_seed_alone(triple: Triple, folder: Path, items: list) -> None:
    """Neither on its batch, nor on the order, nor on how many samples there are."""
    drawn = SamplingSettings(samples=3, temperature=1.5, top_p=1.0, seed=1)
    few = items[-8:]
    with opened(triple, settings(sampling=drawn, batch_size=7), folder) as engine:
        samples = list_samples(few, 3)
        found = dict(zip([(i.index, i.sample) for i in samples], ask(engine, samples), strict=True))
        fewer = list_samples(few[::-1], 2)[::-1]
        again = dict(zip([(i.index, i.sample) for i in fewer], ask(engine, fewer), strict=True))
    assert again == {name: found[name] for name in again}
    assert any(len({found[item.index, number] for number in range(3)}) > 1 for item in few)


def test_an_export_is_a_variant_by_hand(
    triple: Triple, folder: Path, items: list, variants: list, expected: dict[str, Answers], tmp_path: Path
) -> None:
    recipe, fitted = variants[3]
    export(Job.from_recipe(triple, recipe, fitted, tmp_path / "out"))
    by_hand = settings(checkpoint=str(tmp_path / "out"))
    engine = open_engine(triple, recipe, fitted, by_hand, folder)
    try:
        assert ask(engine, items) == expected[recipe.key]
        with pytest.raises(UserError, match="cannot turn into inject"):
            engine.become(triple, inject(triple, 0.5))
    finally:
        engine.close()
    with pytest.raises(UserError, match="export of another variant than inject"):
        open_engine(triple, inject(triple, 0.5), Fitted(), by_hand, folder)


def test_a_stale_encoder_cache_ends_vllm_and_the_next_question_starts_it_again(
    triple: Triple, folder: Path, items: list, variants: list, expected: dict[str, Answers],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The scheduler counts on pictures that the workers have forgotten: few of them, asked again."""
    (v, _), (a, _) = variants[:2]
    with opened(triple, settings(), folder) as engine:
        engine.become(triple, v, Fitted())
        few = items[:10]
        assert ask(engine, few) == expected[v.key][:10]
        monkeypatch.setattr(engine.model, "forget", lambda: engine.model._llm.reset_prefix_cache())
        engine.become(triple, a, Fitted())
        with pytest.raises(UserError, match="vLLM ended while it answered"):
            ask(engine, few)
        monkeypatch.undo()
        assert ask(engine, few) == expected[a.key][:10]


def test_a_pool_of_two_answers_as_one(
    triple: Triple, folder: Path, items: list, variants: list, expected: dict[str, Answers]
) -> None:
    with opened(triple, settings(devices=2), folder) as pool:
        for recipe, fitted in variants[2:4]:
            pool.become(triple, recipe, fitted)
            assert ask(pool, items) == expected[recipe.key]
        assert len(pool._members) == 2
        broken = Fitted({"vlm": torch.tensor(0.4), "lrm": torch.tensor(float("nan"))})
        with pytest.raises(UserError, match=r"metagpt|NaN|finite"):
            pool.become(triple, Recipe.make(triple, "metagpt", fitted=broken), broken)
