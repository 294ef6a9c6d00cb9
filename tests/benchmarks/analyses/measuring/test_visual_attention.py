"""Visual attention: weights that sum to 1, planted ones found, quarters, a model left as it was."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from benchmarks.analyses import visual_attention
from benchmarks.analyses.measuring import attention
from benchmarks.analyses.measuring.attention import (
    listen,
    plain_attention,
    refuse_unless_in_sight,
    sum_over,
)
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.tracing import KINDS, make_reading
from benchmarks.analyses.visual_attention import find_parts, group_tokens, measure_weights
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.questions import reading, writing
from benchmarks.registry.lookup import find
from benchmarks.stages import analyse, report_analyses, tune
from benchmarks.study.layout import Layout
from benchmarks.study.slices.analyse_slice import AnalyseSlice
from benchmarks.study.slices.tune_slice import TuneSlice
from frism.distillation.prompts import prepare_questions
from frism.errors import UserError
from frism.triples.architectures import ARCHITECTURES
from frism.triples.triple import Triple
from tests.support import tiny_vlms
from tests.support.studies import study_of

QUESTION, PICTURE, ANSWER = range(3)
KINDS_OF = torch.tensor([QUESTION, PICTURE, PICTURE, QUESTION, *[ANSWER] * 8])


def test_parts_begin_behind_the_picture_and_quarter_the_answer() -> None:
    assert KINDS == ("question", "picture", "answer")
    parts = find_parts(KINDS_OF)
    assert {name: chosen.nonzero().flatten().tolist() for name, chosen in parts.items()} == {
        "question": [3], "answer 1": [4, 5], "answer 2": [6, 7], "answer 3": [8, 9], "answer 4": [10, 11],
    }  # fmt: skip
    short = find_parts(torch.tensor([PICTURE, ANSWER]))
    assert list(short) == ["answer 1"]


def test_planted_attention_is_found() -> None:
    """One head looks at the picture alone, one at every token alike, one at the first token."""
    n = len(KINDS_OF)
    weights = torch.zeros(3, n, n)
    weights[0, :, 1] = weights[0, :, 2] = 0.5
    weights[1] = torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None]
    weights[2, :, 0] = 1
    parts, groups = find_parts(KINDS_OF), group_tokens(KINDS_OF, None)
    rows = {row["tokens"]: row for row in measure_weights(weights, 4, parts, groups)}
    assert rows["question"]["picture"] == pytest.approx((1 + 2 / 4 + 0) / 3)
    assert rows["question"]["most"] == 1 and rows["question"]["layer"] == 4
    assert rows["question"]["heads"] == "1.0000 0.5000 0.0000"
    assert rows["question"]["relevant"] is rows["question"]["irrelevant"] is None  # no world says which
    alike = measure_weights(weights[1:2], 0, parts, groups)
    assert all(row["relative"] == pytest.approx(1) for row in alike)
    fading = [row["picture"] for row in alike]
    assert fading == sorted(fading, reverse=True)


def test_every_layers_weights_sum_to_one_and_the_model_is_left_as_it_was(
    triple: Triple, engine: TransformersEngine, items_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = reading.load_items(items_folder, "test", ["mini_total"])["mini_total"][0]
    one = make_reading(engine, item, "red three . blue five .")
    before = engine.model.config._attn_implementation
    seen: list[torch.Tensor] = []
    measure = visual_attention.measure_weights

    def kept(weights: torch.Tensor, *rest: Any) -> Any:
        seen.append(weights)
        return measure(weights, *rest)

    monkeypatch.setattr(visual_attention, "measure_weights", kept)
    tower = engine.model.model.visual.config
    with torch.inference_mode():
        plain = engine.model(**one.inputs).logits
    (rows,) = visual_attention.trace(Ground(triple, lambda: engine.model), [one])
    assert len(seen) == triple.layers and len(rows) == triple.layers * 5
    for weights in seen:
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))
        assert weights.triu(1).abs().max() == 0
    assert all(0 < row["picture"] < 1 and row["most"] >= row["picture"] for row in rows)
    assert engine.model.config._attn_implementation == before == tower._attn_implementation
    with plain_attention(engine.model):  # a large picture's weights in the tower would be the largest of all
        assert engine.model.get_decoder().config._attn_implementation == "eager"
        assert tower._attn_implementation == before
    assert not any(module._forward_hooks for module in engine.model.modules())
    with torch.inference_mode():
        assert torch.equal(engine.model(**one.inputs).logits, plain)


def test_a_module_without_weights_is_named() -> None:
    with pytest.raises(UserError, match="Identity gives no attention weights"):
        attention._hand_on(0, lambda *_: None, torch.nn.Identity(), (), (torch.ones(1), None))


def test_sums_over_groups_are_those_of_their_tokens() -> None:
    weights = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0))
    groups = torch.tensor([[1.0, 0], [0, 0.5], [1, 0.5], [0, 0], [0, 0], [1, 0], [0, 0]])
    found = sum_over(weights, groups)
    torch.testing.assert_close(found[..., 0], weights[:, :, [0, 2, 5]].sum(-1))
    torch.testing.assert_close(found[..., 1], weights[:, :, [1, 2]].mean(-1))


@pytest.mark.parametrize("family", tiny_vlms.FAMILIES)
def test_families_are_measured_or_refused(family: str) -> None:
    """Those that see pictures as tokens give their weights; the one that crosses over to them is refused."""
    model, processor = tiny_vlms.make(family)
    if family == "mllama":
        with pytest.raises(UserError, match="has no picture tokens among the text's"):
            refuse_unless_in_sight(model)
        return
    refuse_unless_in_sight(model)
    picture = Image.new("RGB", (56, 56), "red")
    row = prepare_questions(processor, [(picture, "What is it ?")], [0])[0]
    kinds = (row["input_ids"][0] == model.config.image_token_id).long()
    tower = ARCHITECTURES[model.config.model_type].module
    ground: Any = SimpleNamespace(
        model=model, layers=tiny_vlms.LAYERS, module=model.get_submodule,
        module_path=lambda layer, module: f"{tower}.layers.{layer}.self_attn",
    )  # fmt: skip
    rows: list[Any] = []
    parts, groups = find_parts(kinds), group_tokens(kinds, None)
    with torch.inference_mode(), plain_attention(model):
        listen(ground, row, lambda layer, w: rows.extend(measure_weights(w, layer, parts, groups)))
    assert [r["tokens"] for r in rows] == ["question"] * tiny_vlms.LAYERS
    assert all(0 < r["picture"] < 1 for r in rows)


def test_an_analysis_reads_own_answers_and_is_reported(
    tmp_path: Path, triple_settings: dict[str, str]
) -> None:
    names = ["mini_number", "mini_total"]
    writing.write_items(tmp_path / "items", [find(name) for name in names], {"dev": 6})
    settings: dict[str, Any] = {
        "triple": triple_settings,
        "engine": {"name": "transformers", "batch_size": 12, "max_new_tokens": 5},
        "benchmarks": names,
        "variants": {"vlm": {"method": "vlm"}, "inject": {"method": "inject", "params": {"strength": 2.0}}},
        "analyses": {"visual_attention": {"questions": 5}},
    }
    study, layout = study_of(settings), Layout(tmp_path)
    for variant in study.variants:
        tune.run(TuneSlice.of(study), variant, layout, "c")
        analyse.run(AnalyseSlice.of(study), "visual_attention", variant, layout, "c")
    report_analyses.build(tmp_path, study)
    table = pd.read_csv(tmp_path / "tables/attention.csv")
    assert set(table["variant"]) == {"vlm", "inject"} and table["layer"].max() == 5
    compared = table[table["tokens"] == "question"].groupby("variant")["difference"]
    assert compared.apply(lambda values: values.isna().all()).to_dict() == {"inject": False, "vlm": True}
    assert (tmp_path / "figures/analysis_visual_attention.png").is_file()
    # The miniature says which tiles matter: mini_number shows others beside the one that it asks for.
    traced = pd.read_csv(tmp_path / "analyses/visual_attention/inject.csv")
    known = traced.groupby("benchmark")[["relevant", "irrelevant"]].count()
    assert (
        known.loc["mini_number"].min() > 0 and (traced["relevant"].dropna() <= traced["picture"].max()).all()
    )
    told = table[table["relevant"].notna()]
    assert len(told) and (told["relevant_low"] <= told["relevant"]).all()
    heads = pd.read_csv(tmp_path / "tables/heads.csv")
    keys = ["variant", "axis", "tokens", "layer"]
    by_head = heads.groupby(keys)["picture"].mean()
    whole = table.set_index(keys)["picture"]
    assert heads["head"].max() == 3 and len(heads) == 4 * len(table)
    np.testing.assert_allclose(by_head, whole.loc[by_head.index], atol=1e-4)
