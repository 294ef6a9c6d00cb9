"""Visual attention: weights that sum to 1, planted ones found, quarters, a model left as it was."""

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from benchmarks.analyses import visual_attention
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.tracing import KINDS, make_reading
from benchmarks.analyses.visual_attention import find_parts, measure_weights
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
    rows = {row["tokens"]: row for row in measure_weights(weights, 4, KINDS_OF, find_parts(KINDS_OF))}
    assert rows["question"]["picture"] == pytest.approx((1 + 2 / 4 + 0) / 3)
    assert rows["question"]["most"] == 1 and rows["question"]["layer"] == 4
    alike = measure_weights(weights[1:2], 0, KINDS_OF, find_parts(KINDS_OF))
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
    with torch.inference_mode():
        plain = engine.model(**one.inputs).logits
    (rows,) = visual_attention.trace(Ground(triple, lambda: engine.model), [one])
    assert len(seen) == triple.layers and len(rows) == triple.layers * 5
    for weights in seen:
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))
        assert weights.triu(1).abs().max() == 0
    assert all(0 < row["picture"] < 1 and row["most"] >= row["picture"] for row in rows)
    assert engine.model.config._attn_implementation == before
    assert not any(module._forward_hooks for module in engine.model.modules())
    with torch.inference_mode():
        assert torch.equal(engine.model(**one.inputs).logits, plain)


def test_a_module_without_weights_is_named() -> None:
    with pytest.raises(UserError, match="Identity gives no attention weights"):
        visual_attention.measure_module([], 0, KINDS_OF, {}, torch.nn.Identity(), (), (torch.ones(1), None))


@pytest.mark.parametrize("family", ["llava", "internvl", "idefics3", "gemma3", "mllama"])
def test_families_are_measured_or_refused(family: str) -> None:
    """Those that see pictures as tokens give their weights; the one that crosses over to them is refused."""
    model, processor = tiny_vlms.make(family)
    if family == "mllama":
        with pytest.raises(UserError, match="has no picture tokens among the text's"):
            visual_attention.refuse_unless_in_sight(model)
        return
    visual_attention.refuse_unless_in_sight(model)
    picture = Image.new("RGB", (56, 56), "red")
    row = prepare_questions(processor, [(picture, "What is it ?")], [0])[0]
    kinds = (row["input_ids"][0] == model.config.image_token_id).long()
    rows: list[Any] = []
    module = model.get_submodule(ARCHITECTURES[model.config.model_type].module).layers[0].self_attn
    measure = partial(visual_attention.measure_module, rows, 0, kinds, find_parts(kinds))
    handle = module.register_forward_hook(measure)
    with torch.inference_mode(), visual_attention.plain_attention(model):
        model(**row, use_cache=False)
    handle.remove()
    assert [r["tokens"] for r in rows] == ["question"] and 0 < rows[0]["picture"] < 1


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
