"""Heat maps point where a model looks: one whose attention is made by hand looks at one token of one tile."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from benchmarks.analyses import heat_maps, visual_attention
from benchmarks.analyses.measuring.blocks import THIRDS
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.scenes import find_picture_grid, find_scene
from benchmarks.analyses.measuring.tracing import Reading, make_reading
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.questions import reading, writing
from benchmarks.registry.lookup import find
from benchmarks.stages import analyse, report_analyses, tune
from benchmarks.study.layout import Layout
from benchmarks.study.slices.analyse_slice import AnalyseSlice
from benchmarks.study.slices.tune_slice import TuneSlice
from frism.errors import UserError
from frism.triples.triple import Triple
from tests.support.studies import study_of

STRENGTH = 1000.0


@pytest.fixture
def question(engine: TransformersEngine, items_folder: Path) -> Reading:
    item = reading.load_items(items_folder, "test", ["mini_number"])["mini_number"][0]
    return make_reading(engine, item, "red three")


def plant(model: Any, one: Reading, target: int) -> None:
    """Let every head of every layer look at one token alone, whatever is asked.

    Layers put out nothing, so that all of them get the same; keys are `target`'s along a direction that every
    other token is orthogonal to, in the dimension that positions turn least; queries are a constant.
    """
    layers = model.get_decoder().layers
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        for layer in layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        hook = layers[0].input_layernorm.register_forward_hook(lambda module, given, out: seen.append(out[0]))
        model(**one.inputs, use_cache=False)
        hook.remove()
        wanted = torch.zeros(len(one.kinds), 1)
        wanted[target] = 1.0
        direction = torch.linalg.lstsq(seen[0].double(), wanted.double()).solution[:, 0].float()
        for layer in layers:
            attention = layer.self_attn
            slowest = attention.head_dim // 2 - 1
            for projection in (attention.q_proj, attention.k_proj):
                projection.weight.zero_()
                projection.bias.zero_()
            attention.q_proj.bias[slowest :: attention.head_dim] = 1.0
            attention.k_proj.weight[slowest :: attention.head_dim] = STRENGTH * direction


@pytest.mark.parametrize("corner", range(4))
def test_a_planted_look_is_found_where_it_was_planted(
    triple: Triple, engine: TransformersEngine, question: Reading, corner: int
) -> None:
    """At each of the four tokens of a tile."""
    ground = Ground(triple, lambda: engine.model)
    grid = find_picture_grid(engine.model.config, question)
    assert grid is not None and grid.tokens.shape == (6, 6)
    scene = find_scene(engine.model.config, question, 0)
    assert scene is not None
    (before,) = heat_maps.trace(ground, [question])
    target = scene.tiles[corner % len(scene.tiles)].tokens[corner]
    plant(engine.model, question, int(target))
    ((row, column),) = (grid.tokens == target).nonzero().tolist()
    (rows,) = heat_maps.trace(ground, [question])
    table = pd.DataFrame(rows)
    assert len(table) == len(before) == 3 * 36 and set(table["tokens"]) == set(THIRDS)
    for _, band in table.groupby("tokens"):
        brightest = band.loc[band["attention"].idxmax()]
        assert (brightest["row"], brightest["column"]) == (row, column) and brightest["attention"] > 0.999
        assert band["attention"].sum() == pytest.approx(1, abs=1e-3)
    assert pd.DataFrame(before)["attention"].max() < 0.5


def test_a_planted_look_at_a_tile_counts_for_its_sort(
    triple: Triple, engine: TransformersEngine, question: Reading
) -> None:
    ground = Ground(triple, lambda: engine.model)
    scene = find_scene(engine.model.config, question, 0)
    assert scene is not None
    for shown in scene.tiles:
        plant(engine.model, question, int(shown.tokens[0]))
        (rows,) = visual_attention.trace(ground, [question])
        answers = [row for row in rows if row["tokens"].startswith("answer")]
        assert answers and all(row["picture"] > 0.999 and row["most"] > 0.999 for row in answers)
        sorts = {kind: sum(tile.relevant == (kind == "relevant") for tile in scene.tiles) for kind in
                 ("relevant", "irrelevant")}  # fmt: skip
        for kind, number in sorts.items():
            on_it = 1 / number if shown.relevant == (kind == "relevant") else 0
            assert all(row[kind] == pytest.approx(on_it, abs=1e-3) for row in answers)


def test_another_seeds_questions_are_refused(engine: TransformersEngine, question: Reading) -> None:
    with pytest.raises(UserError, match=r"question 0 of mini_number in .* is not that of seed 5"):
        find_scene(engine.model.config, question, 5)


def test_maps_are_drawn_over_the_pictures(tmp_path: Path, triple_settings: dict[str, str]) -> None:
    names = ["mini_number", "mini_total"]
    writing.write_items(tmp_path / "items", [find(name) for name in names], {"dev": 6})
    settings: dict[str, Any] = {
        "triple": triple_settings,
        "engine": {"name": "transformers", "batch_size": 12, "max_new_tokens": 3},
        "benchmarks": names,
        "variants": {"vlm": {"method": "vlm"}, "inject": {"method": "inject", "params": {"strength": 2.0}}},
        "analyses": {"maps": {"analysis": "heat_maps", "questions": 1}},
    }
    study, layout = study_of(settings), Layout(tmp_path)
    for variant in study.variants:
        tune.run(TuneSlice.of(study), variant, layout, "c")
        analyse.run(AnalyseSlice.of(study), "maps", variant, layout, "c")
    report_analyses.build(tmp_path, study)
    table = pd.read_csv(tmp_path / "analyses/maps/inject.csv")
    assert len(table) == 2 * 3 * 36 and table["correct"].isin([0, 1]).all()
    drawing = (tmp_path / "figures/analysis_maps.svg").read_text()
    assert drawing.count("<image") == 2 * (1 + 2 * 3)  # questions: the picture, then variants by bands
