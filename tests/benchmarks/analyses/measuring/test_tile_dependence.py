"""Tile dependence: what is said to change changes when it is generated; V needs the tiles that it reads."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from benchmarks.analyses import tile_dependence
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.scenes import find_scene
from benchmarks.analyses.measuring.tracing import make_reading
from benchmarks.answering.engine import open_engine
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.questions import reading, writing
from benchmarks.questions.item import Item, digest_picture
from benchmarks.registry.lookup import find
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from frism.triples.triple import Triple
from tests.support.studies import WEIGHTS

ROOT = Path(__file__).resolve().parents[4]
NAMES = ["mini_number", "mini_place", "mini_count"]
N = 6


@pytest.fixture(scope="module")
def trained() -> tuple[Triple, TransformersEngine]:
    """The miniature's own V, which perceives well."""
    triple = Triple.open(**{role: ROOT / folder for role, folder in WEIGHTS.items()})
    return triple, open_engine(triple, None, {}, EngineSettings(batch_size=32, max_new_tokens=12))


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Item]]:
    folder = tmp_path_factory.mktemp("items")
    writing.write_items(folder, [find(name) for name in NAMES], {"dev": N})
    return reading.load_items(folder, "dev", NAMES)


def ask(engine: TransformersEngine, items: list[Item]) -> list[str]:
    return [answer.raw for batch in engine.batches(items, {}) for answer in engine.answer(batch)]


def trace(trained: Any, items: list[Item]) -> pd.DataFrame:
    triple, engine = trained
    readings = [make_reading(engine, *pair) for pair in zip(items, ask(engine, items), strict=True)]
    rows = tile_dependence.trace(Ground(triple, lambda: engine.model), readings)
    return pd.DataFrame(
        [{"index": item.index} | row for item, own in zip(items, rows, strict=True) for row in own]
    )


@pytest.mark.parametrize("name", ["mini_number", "mini_place"])
def test_v_needs_the_tile_that_it_is_asked_about_and_no_other(
    trained: Any, items: dict[str, list[Item]], name: str
) -> None:
    table = trace(trained, items[name])
    assert set(table["change"]) == {"blank", "swap"} and table["attention"].between(0, 1).all()
    means = table.groupby("relevant")[["changed", "drop"]].mean()
    assert means.loc[1, "changed"] > 0.7 and means.loc[0, "changed"] < 0.3
    assert means.loc[1, "drop"] > 1 + means.loc[0, "drop"]


def test_every_tile_counts(trained: Any, items: dict[str, list[Item]]) -> None:
    table = trace(trained, items["mini_count"]).set_index("change")
    assert (table["relevant"] == 1).all() and table.loc["blank", "changed"].mean() > 0.8
    assert table.loc["swap", "changed"].mean() < table.loc["blank", "changed"].mean()


def test_an_answer_changes_exactly_where_another_is_generated(
    trained: Any, items: dict[str, list[Item]], tmp_path: Path
) -> None:
    """Against the engine's own greedy answers to questions that show the painted pictures."""
    _, engine = trained
    compared = 0
    for item in items["mini_number"][:3] + items["mini_count"][:2]:
        (said,) = ask(engine, [item])
        one = make_reading(engine, item, said)
        scene = find_scene(engine.model.config, one, 0)
        assert scene is not None
        picture = item.pictures()[0]
        for shown in scene.tiles:
            painted = tile_dependence.paint(picture, shown, scene, item.content)
            changed, drops = tile_dependence.compare(engine.model, one, [picture, *(p for _, p in painted)])
            assert bool((drops[changed] > 0).any()) or not changed.any()
            for (way, image), told in zip(painted, changed.tolist(), strict=True):
                path = tmp_path / f"{item.benchmark}-{item.index}-{shown.tile.place}-{way}.png"
                image.save(path)
                message = tuple(
                    part if part["type"] == "text" else {"type": "image", "value": path.name}
                    for part in item.message
                )
                images = (digest_picture(path.read_bytes())[0],)
                (again,) = ask(engine, [replace(item, folder=tmp_path, message=message, images=images)])
                assert told == (again != said), (item.index, way, said, again)
                compared += 1
    assert compared > 20


def test_the_same_picture_changes_nothing(trained: Any, items: dict[str, list[Item]]) -> None:
    _, engine = trained
    item = items["mini_number"][0]
    one, picture = make_reading(engine, item, "three"), item.pictures()[0]
    with torch.inference_mode():
        changed, drops = tile_dependence.compare(engine.model, one, [picture, picture.copy()])
    assert not changed.any() and drops.abs().max() < 1e-6
    assert one.speaking.sum() == len(one.answer)


def test_a_question_of_another_world_is_refused(trained: Any, items: dict[str, list[Item]]) -> None:
    triple, engine = trained
    item = items["mini_number"][0]
    folder = item.folder
    definitions = json.loads((folder / "benchmarks.json").read_text())
    definitions["mini_number"]["source"] = {"tsv": {}}
    other = folder.parent / "other"
    other.mkdir(exist_ok=True)
    (other / "benchmarks.json").write_text(json.dumps(definitions))
    one = make_reading(engine, item, "three")
    elsewhere = replace(one, item=replace(item, folder=other))
    with pytest.raises(UserError, match=r"nobody knows which part of question 0 of mini_number matters"):
        tile_dependence.trace(Ground(triple, lambda: engine.model), [elsewhere])
