"""VLMEvalKit's metrics on its own classes: right answers score 1 in every style, wrong and missing ones 0."""

import multiprocessing.dummy
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.registry.definition import Definition
from benchmarks.registry.lookup import find
from benchmarks.scoring import evaluation, expected
from benchmarks.scoring.evaluation import flat
from benchmarks.vlmevalkit import loading
from benchmarks.vlmevalkit.loading import environment, replaced_in
from frism.errors import UserError
from tests.support import tsvs
from tests.support.styles import STYLES, answered, extracted

SIZES = {"WeMath": 1740, "MME": 56}
UNPARSED = {"OCRBench", "CountBenchQA"}  # a text that contains the answer counts as it is
Made = Callable[[str], tuple[Path, Definition]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A function that makes a table, once, and returns its path and definition."""
    known: dict[str, tuple[Path, Definition]] = {}

    def make(name: str) -> tuple[Path, Definition]:
        if name not in known:
            path = tsvs.make(name, tmp_path_factory.mktemp(name), SIZES.get(name, 30))
            known[name] = path, find(tsvs.pinned(path))
        return known[name]

    return make


@pytest.mark.parametrize("name", tsvs.MAKERS)
def test_right_answers_score_one_in_every_style(made: Made, name: str) -> None:
    path, definition = made(name)
    styles = ["chain", "plain"] if name == "WeMath" else list(STYLES)
    for style in styles:
        found = evaluation.evaluate(
            definition, path.parent, extracted(answered(path, definition, style), path, definition)
        )
        assert set(found.scores) == {1.0}, (style, found.scores)
        assert found.totals


@pytest.mark.parametrize("name", tsvs.MAKERS)
def test_wrong_and_missing_answers_score_zero(made: Made, name: str) -> None:
    path, definition = made(name)
    for raw in (
        "",
        "<think>B",
        "We do not know anything about that picture at all, since it is not shown to us here.",
    ):
        raws = [raw] * len(tsvs.read(path))
        found = evaluation.evaluate(definition, path.parent, extracted(raws, path, definition))
        assert set(found.scores) == {0.0}, raw
    assert evaluation.evaluate(definition, path.parent, raws).scores == [0.0] * len(raws)


@pytest.mark.parametrize("name", tsvs.MAKERS)
def test_the_stock_rules_lose_chains(made: Made, name: str) -> None:
    """What the raw text of an all-right chain is worth to VLMEvalKit alone."""
    path, definition = made(name)
    raws = answered(path, definition, "chain")
    scores = evaluation.evaluate(definition, path.parent, raws).scores
    share = sum(scores) / len(scores)
    assert share == 1 if name in UNPARSED else share < 0.75


@pytest.mark.parametrize(
    "name", ["MMStar", "POPE", "ChartQA_TEST", "MathVista_MINI", "MathVision_MINI", "LogicVista"]
)
def test_half_right_is_half_right_question_by_question(made: Made, name: str) -> None:
    path, definition = made(name)
    right = answered(path, definition, "plain")
    wanted = [random.Random(name).random() < 0.5 for _ in right]
    wrong = expected.expected_answers(definition, path.parent)
    given = [r if ok else e.phrase(None) for r, ok, e in zip(right, wanted, wrong, strict=True)]
    assert evaluation.evaluate(definition, path.parent, given).scores == [float(ok) for ok in wanted]


def test_totals_are_vlmevalkits_own(made: Made) -> None:
    def totals(name: str, wrong: int = 0) -> dict[str, float]:
        path, definition = made(name)
        given = answered(path, definition, "plain")
        given[:wrong] = ["nothing"] * wrong
        return evaluation.evaluate(definition, path.parent, given).totals

    assert totals("MME")["perception"] == 2000 and totals("MME")["reasoning"] == 800
    # One wrong answer of two pictures of two questions each: 75 + 50 instead of 100 + 100.
    assert totals("MME", 1)["reasoning"] == 725
    assert (
        totals("HallusionBench", 1)["split=Overall|fAcc"] < totals("HallusionBench", 1)["split=Overall|aAcc"]
    )
    assert totals("POPE")["split=Overall|Overall"] == 100
    assert (
        totals("DynaMath", 1)["Setting=Worst Case|Overall"] < totals("DynaMath", 1)["Setting=Average|Overall"]
    )
    assert totals("WeMath")["Score (Strict)"] == 100
    assert totals("OCRBench")["Final Score"] == 30
    assert totals("MathVerse_MINI")["split=Vision Only|Overall"] == 100
    assert totals("MMBench_DEV_EN")["split=dev|Overall"] == 1


@pytest.mark.parametrize(
    "name",
    ["MMStar", "MMMU_DEV_VAL", "MMBench_DEV_EN", "POPE", "MME", "HallusionBench", "OCRBench", "CountBenchQA",
     "TextVQA_VAL", "ChartQA_TEST", "DocVQA_VAL"],
)  # fmt: skip
def test_untouched_vlmevalkit_says_the_same(made: Made, name: str, tmp_path: Path) -> None:
    """Its own totals on answers of all kinds, with nothing around it replaced but the sixteen processes."""
    path, definition = made(name)
    rng = random.Random(name)
    right, odd = answered(path, definition, "plain"), ["B", "yes", "No, none", "the red car", "14", "A or B"]
    texts = [rng.choice([answer, answer, rng.choice(odd)]) for answer in right]
    dataset = loading.build(definition, path.parent)
    file = tmp_path / f"m_{name}.tsv"
    dataset.data.drop(columns="image").assign(prediction=texts).to_csv(file, sep="\t", index=False)
    module = sys.modules[type(dataset).__module__]
    with environment(PRED_FORMAT="tsv"), replaced_in([module], mp=multiprocessing.dummy):
        plain = dataset.evaluate(str(file), model="exact_matching", nproc=1)
    found = evaluation.evaluate(definition, path.parent, texts)
    assert found.totals == flat(plain)
    assert 0 < sum(found.scores) < len(texts)


def test_a_rotation_counts_with_its_group(made: Made) -> None:
    path, definition = made("MMBench_DEV_EN")
    given, rows = answered(path, definition, "plain"), tsvs.read(path)
    group = int(rows[0]["index"]) % 10**6
    given[0] = "Z"
    scores = evaluation.evaluate(definition, path.parent, given).scores
    assert scores == [float(int(row["index"]) % 10**6 != group) for row in rows]


def test_no_step_right_divides_by_nothing(made: Made) -> None:
    """WeMath: VLMEvalKit stops with a ZeroDivisionError, and before that with pandas 3."""
    path, definition = made("WeMath")
    found = evaluation.evaluate(definition, path.parent, ["Z"] * 1740)
    assert found.totals["Score (Strict)"] == 0 and set(found.scores) == {0.0}


def native(name: str, folder: Path, n: int = 40) -> tuple[Path, Definition, list[str]]:
    """A table for a class with an `evaluate` of its own, and its right letters."""
    path = tsvs.make("MMStar", folder, n).rename(folder / f"{name}.tsv")
    rows = pd.read_csv(path, sep="\t", dtype=str)
    letters = rows["answer"].tolist()
    kinds = {
        "VisuLogic": ["Quantitative Reasoning", "Spatial Reasoning", "Positional Reasoning",
                      "Attribute Reasoning", "Stylistic Reasoning", "Other"],
        "VisualPuzzles": ["spatial", "algorithmic", "analogical", "inductive", "deductive"],
        "PuzzleVQA": ["grid_number", "size_grid", "rectangle_height_color", "shape_size_hexagon", "venn",
                      "rectangle_height_number", "shape_reflect", "circle_size_number", "polygon_sides_color",
                      "color_overlap_squares", "color_size_circle", "size_cycle", "polygon_sides_number",
                      "shape_size_grid", "color_hexagon", "grid_number_color", "color_grid", "shape_morph",
                      "triangle", "color_number_hexagon"],
    }.get(name, ["single", "cross"])  # fmt: skip
    rows["category"] = [kinds[i % len(kinds)] for i in range(n)]
    rows["difficulty"] = [["easy", "medium", "hard"][i % 3] for i in range(n)]
    rows["cycle_category"] = [str(i % 4) for i in range(n)]
    if name in ("VisualPuzzles", "PuzzleVQA"):
        options = rows[list("ABCD")].values.tolist()
        rows = rows.drop(columns=list("ABCD")).assign(options=[str(o) for o in options])
        if name == "PuzzleVQA":
            rows["answer"] = [o["ABCD".index(a)] for o, a in zip(options, letters, strict=True)]
    rows.to_csv(path, sep="\t", index=False)
    return path, find(tsvs.pinned(path)), letters


@pytest.mark.parametrize("name", ["VisuLogic", "VisualPuzzles", "PuzzleVQA", "HRBench4K", "MMMU_Pro_10c"])
def test_classes_with_a_metric_of_their_own(tmp_path: Path, name: str) -> None:
    path, definition, letters = native(name, tmp_path)
    for style in ("plain", "brackets", "boxed", "chain", "thought"):
        texts = extracted([STYLES[style](letter, "option") for letter in letters], path, definition)
        assert set(evaluation.evaluate(definition, tmp_path, texts).scores) == {1.0}, style
    texts[:10] = extracted([""] * 40, path, definition)[:10]
    found = evaluation.evaluate(definition, tmp_path, texts)
    assert found.scores == [0.0] * 10 + [1.0] * 30
    assert 0.75 in found.totals.values() or 75 in found.totals.values()


def test_options_called_none_are_options(tmp_path: Path) -> None:
    path = tsvs.make("MMStar", tmp_path, 6, odd_options=True)
    definition = find(tsvs.pinned(path))
    found = evaluation.evaluate(definition, tmp_path, answered(path, definition, "plain"))
    assert set(found.scores) == {1.0}
    wanted = expected.expected_answers(definition, tmp_path)
    assert "None" in wanted[0].options.values() and "null" in wanted[2].options.values()


def test_scores_do_not_depend_on_order_or_repetition(made: Made) -> None:
    path, definition = made("MathVision_MINI")
    raws = answered(path, definition, "chain")
    assert evaluation.evaluate(definition, path.parent, raws) == evaluation.evaluate(
        definition, path.parent, raws
    )


@pytest.mark.parametrize(
    ("name", "fields", "complaint"),
    [
        ("MathVista_MINI", {"judge": "exact_matching"}, "set `judge: rule`"),
        ("MMStar", {"metric": "yes_no"}, "by option, not by yes_no"),
        ("MMStar", {"judge": "model"}, "only be graded by a language model"),
    ],
)
def test_what_cannot_be_scored_is_said(made: Made, name: str, fields: dict[str, Any], complaint: str) -> None:
    path, definition = made(name)
    with pytest.raises(UserError, match=complaint):
        evaluation.evaluate(definition.model_copy(update=fields), path.parent, ["B"] * 30)


def test_a_slice_of_a_composite_metric_is_refused(tmp_path: Path) -> None:
    path = tsvs.make("MME", tmp_path, 56)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))  # the last picture has one question instead of two
    definition = find(tsvs.pinned(path))
    with pytest.raises(UserError, match="MME: VLMEvalKit's ImageYORNDataset cannot score 55 questions"):
        evaluation.evaluate(definition, tmp_path, ["Yes"] * 55)


def test_one_answer_per_question_is_no_vqa_score(tmp_path: Path) -> None:
    path = tsvs.make("ChartQA_TEST", tmp_path, 5)
    path = path.rename(tmp_path / "MyVQA.tsv")
    definition = find({"name": "MyVQA", "axis": "perception", "class": "ImageVQADataset"})
    with pytest.raises(UserError, match="always scores 0"):
        evaluation.evaluate(definition, tmp_path, ["x"] * 5)


def test_answers_are_not_run(made: Made, tmp_path: Path) -> None:
    """VLMEvalKit's MathVision evaluates the answer as Python."""
    path, definition = made("MathVision_MINI")
    attack = f"__import__('pathlib').Path({str(tmp_path / 'ran')!r}).write_text('x')"
    for text in (attack, "exit()", "9**9**9**9", "9^{9^{9^9}}", "1" * 5000, "(" * 500):
        found = evaluation.evaluate(definition, path.parent, [text] * 30)
        assert set(found.scores) == {0.0}
    assert not (tmp_path / "ran").exists()
