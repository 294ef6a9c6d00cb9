"""Hidden drift: none where nothing changed, what was planted where it was, kept by question after a kill."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from benchmarks.analyses.hidden_drift import compare, read_states
from benchmarks.analyses.measuring.tracing import KINDS, make_reading
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.questions import reading, writing
from benchmarks.registry.lookup import find
from benchmarks.stages import analyse, report_analyses, tune
from benchmarks.study.layout import Layout
from benchmarks.study.slices.analyse_slice import AnalyseSlice
from benchmarks.study.slices.tune_slice import TuneSlice
from tests.support.loads import count_loads
from tests.support.studies import study_of

NAMES = ["mini_number", "mini_total"]


def test_states_that_are_equal_turned_or_doubled() -> None:
    plain = [torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]])]
    kinds = torch.tensor([KINDS.index("picture"), KINDS.index("question"), KINDS.index("answer")])
    merged = [torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 4.0]])]
    rows = {row["tokens"]: row for row in compare(merged, plain, kinds)}
    assert rows["picture"]["cosine"] == pytest.approx(1) and rows["picture"]["relative"] == 0
    assert rows["question"]["cosine"] == pytest.approx(0) and rows["question"]["relative"] == pytest.approx(
        2**0.5
    )
    assert rows["answer"]["cosine"] == pytest.approx(1) and rows["answer"]["relative"] == pytest.approx(1)


def test_tokens_are_told_apart_and_an_answer_is_read_as_it_is_generated(
    engine: TransformersEngine, items_folder: Path
) -> None:
    """The states of the prompt do not depend on the answer; the picture's tokens are the processor's."""
    item = reading.load_items(items_folder, "test", ["mini_total"])["mini_total"][0]
    short, long = make_reading(engine, item, ""), make_reading(engine, item, "red three . blue five")
    prompt = engine.preparer.process(item)["input_ids"][0]
    assert torch.equal(short.inputs["input_ids"][0], prompt)
    words = engine.processor.tokenizer("red three . blue five", add_special_tokens=False).input_ids
    assert long.inputs["input_ids"][0, len(prompt) :].tolist() == words
    assert (long.kinds == KINDS.index("answer")).sum() == len(words)
    pictures = (prompt == engine.model.config.image_token_id).sum()
    assert (long.kinds == KINDS.index("picture")).sum() == pictures > 0
    with torch.inference_mode():
        one, other = (read_states(engine.model, each) for each in (short, long))
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b[: len(prompt)], atol=1e-5, rtol=1e-4)


@pytest.fixture
def run(tmp_path: Path, triple_settings: dict[str, str]) -> Callable[..., pd.DataFrame]:
    writing.write_items(tmp_path / "items", [find(name) for name in NAMES], {"dev": 12})
    settings: dict[str, Any] = {
        "triple": triple_settings,
        "engine": {"name": "transformers", "batch_size": 12, "max_new_tokens": 4},
        "benchmarks": NAMES,
        "variants": {"vlm": {"method": "vlm"}, "late": {"method": "layer_range"}},
        "analyses": {"hidden_drift": {"questions": 10, "variants": ["late"]}},
    }
    tune.run(TuneSlice.of(study_of(settings)), "vlm", Layout(tmp_path), "c")

    def traced(**params: Any) -> pd.DataFrame:
        late = {"late": {"method": "layer_range", "params": params}}
        study = study_of(settings | {"variants": settings["variants"] | late})
        tune.run(TuneSlice.of(study), "late", Layout(tmp_path), "c")
        analyse.run(AnalyseSlice.of(study), "hidden_drift", "late", Layout(tmp_path), "c")
        report_analyses.build(tmp_path, study)
        return pd.read_csv(tmp_path / "analyses/hidden_drift/late.csv")

    return traced


def test_the_stream_moves_from_the_first_changed_layer_on(run: Any, tmp_path: Path) -> None:
    table = run(part="late", strength=2.0)  # layers 4 and 5 of six
    assert table.groupby(["benchmark", "layer", "tokens"])["index"].nunique().eq(10).all()
    assert sorted(table["layer"].unique()) == list(range(7)) and set(table["tokens"]) == set(KINDS)
    assert (table[table["layer"] <= 4]["relative"] == 0).all()
    assert (table[table["layer"] > 4]["relative"] > 0).all() and (table["cosine"] <= 1 + 1e-5).all()
    assert set(table["axis"]) == {"perception", "reasoning"}
    shown = pd.read_csv(tmp_path / "tables/drift.csv")
    assert len(shown) == 2 * 7 * 3 and (shown["n"] == 10).all()
    assert (shown["relative_low"] <= shown["relative"]).all()
    assert (tmp_path / "figures/analysis_hidden_drift.svg").is_file()
    # Beside it what was lost: thirds of the depth, of which only the last two layers were moved.
    losses = pd.read_csv(tmp_path / "tables/drift_losses.csv").set_index(["tokens", "layers"])
    assert len(losses) == 3 * 3 and (losses["n"] == 10).all()
    assert (losses.loc[("picture", ["early", "middle"]), "relative"] == 0).all()
    late = table[(table["axis"] == "perception") & (table["layer"] > 4) & (table["tokens"] == "picture")]
    assert losses.loc[("picture", "late"), "relative"] == pytest.approx(late["relative"].mean(), abs=1e-4)
    scores = table[table["axis"] == "perception"].drop_duplicates("index")[["correct", "correct_vlm"]].mean()
    assert losses["merged"].unique() == pytest.approx(scores["correct"])
    assert losses["difference"].unique() == pytest.approx(scores["correct"] - scores["correct_vlm"])


def test_a_merge_that_is_v_does_not_move_it_and_a_cut_run_goes_on(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(strength=0.0)
    assert (whole["relative"] == 0).all()
    journal = tmp_path / "journal/analyses/hidden_drift/late.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    loads = count_loads(monkeypatch)
    assert run(strength=0.0).equals(whole) and not loads
    journal.write_text("".join(lines[:7]) + lines[7][:30])
    assert run(strength=0.0).equals(whole) and len(loads) == 1
    again = journal.read_text().splitlines(keepends=True)
    assert again[:7] == lines[:7] and len(again) == 20
    assert json.loads(again[-1])[0] == json.loads(lines[-1])[0]
