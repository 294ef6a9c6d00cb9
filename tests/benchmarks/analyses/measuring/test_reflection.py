"""Reflection is counted right on texts of our own, and read from what a study stored."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.analyses.reflection import read
from benchmarks.questions import writing
from benchmarks.registry.lookup import find
from benchmarks.stages import analyse, tune
from benchmarks.study.layout import Layout
from benchmarks.study.slices.analyse_slice import AnalyseSlice
from benchmarks.study.slices.tune_slice import TuneSlice
from frism.errors import UserError
from tests.support.loads import count_loads
from tests.support.studies import study_of

TEXTS: dict[str, dict[str, int]] = {
    "": {"steps": 0, "reflections": 0, "corrections": 0, "rereads": 0, "switches": 0, "unfinished": 0},
    "The answer is 7.": {"steps": 1, "reflections": 0},
    "red three . blue five . three + five = eight . Answer eight": {
        "steps": 4,
        "corrections": 0,
        "rereads": 0,
    },
    "red three . blue five . red three . Answer three": {"corrections": 0, "rereads": 1},
    "red three . blue five . red four . four + five = nine .": {"corrections": 1, "rereads": 1},
    "red three . red four . red three . three + five = seven . three + five = eight .": {
        "corrections": 3,
        "rereads": 2,
    },
    "The red three was seen. Red three. It is not red four.": {"corrections": 0, "rereads": 0},
    "3 + 5 = 7. Wait, let me check: 3 + 5 = 8. So 8.": {"steps": 3, "reflections": 2, "corrections": 1},
    "three + five = seven . three+five = eight . three + five = eight .": {"corrections": 1},
    "3 + 5 = 8, and 8 - 2 = 6.": {"corrections": 0},
    "1.5 * 2 = 3, x = 4, x = 5": {"corrections": 0},
    "a-b = -1; then a - b = -2": {"corrections": 1},
    "I waited. The waiter verified it.": {"reflections": 0},
    "Hmm. WAIT! Actually, double-check it; on second thought, no.": {"reflections": 5},
    "等等，不对。答案是 5。": {"reflections": 2, "switches": 0},
    "The total is 总数 8, so 答案 is 8.": {"switches": 4},
    "<think>Alternatively, it is blue": {"reflections": 1, "unfinished": 1},
    "<think>Blue.</think>Blue": {"unfinished": 0},
}


@pytest.mark.parametrize("text", TEXTS)
def test_own_texts_are_counted(text: str) -> None:
    counts = read(text)
    assert {name: counts[name] for name in TEXTS[text]} == TEXTS[text]


def test_a_language_counts_its_own_words_alone() -> None:
    text = "Wait, 等等"
    assert [read(text, language=name)["reflections"] for name in ("any", "english", "chinese")] == [2, 1, 1]  # type: ignore[arg-type]


def test_stored_dev_answers_are_counted_without_a_model(
    tmp_path: Path, triple_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["mini_number", "mini_total"]
    writing.write_items(tmp_path / "items", [find(name) for name in names], {"dev": 6})
    settings: dict[str, Any] = {
        "triple": triple_settings,
        "engine": {"name": "transformers", "batch_size": 8, "max_new_tokens": 4},
        "benchmarks": names,
        "analyses": {"reflection": {"questions": 4}},
    }
    study, layout = study_of(settings), Layout(tmp_path)
    tune.run(TuneSlice.of(study), "vlm", layout, "c")
    loads = count_loads(monkeypatch)
    analyse.run(AnalyseSlice.of(study), "reflection", "vlm", layout)
    assert not loads
    table = pd.read_csv(tmp_path / "analyses/reflection/vlm.csv", dtype={"index": str})
    assert table.groupby("benchmark").size().tolist() == [4, 4]
    stored = [
        json.loads(line) for line in (tmp_path / "variants/vlm/points/0/dev.jsonl").read_text().splitlines()
    ]
    by_question = {(line["benchmark"], line["index"]): line for line in stored}
    for row in table.to_dict("records"):
        line = by_question[row["benchmark"], row["index"]]
        assert row["tokens"] == line["tokens"]
        assert {name: row[name] for name in read("")} == read(line["raw"])
    path = tmp_path / "variants/vlm/points/0/dev.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(UserError, match=r"lacks the answer to question"):
        analyse.run(AnalyseSlice.of(study), "reflection", "vlm", layout)
