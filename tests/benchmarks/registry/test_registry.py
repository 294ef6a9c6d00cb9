"""Definitions: all valid, unknown names corrected, faults named."""

import json
from pathlib import Path
from typing import get_args

import pytest

from benchmarks.miniature.question_families import PERCEPTION, REASONING, SHORT
from benchmarks.registry import lookup
from benchmarks.registry.definition import Metric
from benchmarks.registry.metric_names import find_evaluating_class
from benchmarks.scoring import metrics
from benchmarks.tools import catalogue
from benchmarks.vlmevalkit import loading
from frism.errors import UserError
from tests.benchmarks.conftest import invoke, refused


def test_every_definition_is_valid_and_complete() -> None:
    found = {name: lookup.find(name) for name in lookup.list_defined()}
    assert len({d.dataset for d in found.values()}) == len(found), "one TSV each"
    families = {f"mini_{f}" for f in [*PERCEPTION, *SHORT, *REASONING]}
    assert set(found) >= families | {f"mini_{f}_unasked" for f in REASONING}
    for name, definition in found.items():
        assert loading.load_dataset_class(definition.dataset_class)
        axis = {**dict.fromkeys(PERCEPTION, "perception"), **dict.fromkeys(REASONING, "reasoning")}
        assert definition.axis == axis.get(name.removeprefix("mini_"), "other")


def test_unknown_name_is_corrected() -> None:
    with pytest.raises(UserError, match=r"unknown benchmark 'mini_totl'\. Did you mean 'mini_total'\?"):
        lookup.find("mini_totl")
    with pytest.raises(UserError, match=r"There are: mini_add.*, MathVista_MINI"):
        lookup.find_all("mini_total,xyzzy_qqq")
    with pytest.raises(UserError, match="no benchmark"):
        lookup.find_all(" , ")


def test_names_keep_their_order_and_come_once() -> None:
    assert [d.name for d in lookup.find_all("mini_total, mini_add,mini_total")] == [
        "mini_total",
        "mini_add",
    ]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("axis: reasoning", "axis: resoning", "axis"),
        ("metric:", "metrics:", "metric"),
        ("judge: exact_matching", "judge: gpt-4o", "judge"),
        ("title: Sum of three", "[", "YAML"),
    ],
)
def test_a_faulty_file_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    text = (lookup.FOLDER / "mini_total.yaml").read_text()
    assert old in text
    (tmp_path / "mini_total.yaml").write_text(text.replace(old, new))
    monkeypatch.setattr(lookup, "FOLDER", tmp_path)
    with pytest.raises(UserError, match=rf"mini_total\.yaml.*{complaint}"):
        lookup.find("mini_total")


def test_a_prepared_name_needs_nothing_more() -> None:
    assert len(lookup.list_prepared()) >= 45
    for name in lookup.list_prepared():
        definition = lookup.find(name)
        assert lookup.find_file(definition) == lookup.CATALOGUE
        assert definition.axis in ("perception", "reasoning", "text")
        assert set(definition.unverified) <= {"n", "licence", "download_mb"}
        assert all(getattr(definition, figure) not in (None, "unknown") for figure in definition.unverified)
        assert definition.on_dev == (definition.axis != "text" and not definition.whole)
        assert (definition.source.lm_eval is not None) == (definition.kind == "lm_eval")
    assert [name for name in lookup.list_prepared() if lookup.find(name).whole] == [
        "WeMath",
        "WeMath_COT",
        "MME",
    ]


def test_scoring_knows_every_metric_that_a_definition_may_name() -> None:
    """A name without a reader would only show after the answers were generated."""
    named = {*get_args(Metric), *(lookup.find(name).metric for name in lookup.list_prepared())}
    assert named - {"lm_eval"} == set(metrics.METRICS)


@pytest.mark.parametrize("name", [n for n in lookup.list_prepared() if lookup.find(n).source.tsv is not None])
def test_the_prepared_metric_is_the_one_of_the_class(name: str) -> None:
    """The catalogue says what VLMEvalKit's class would choose by itself for the table's name."""
    definition = lookup.find(name)
    found = loading.load_dataset_class(definition.dataset_class)
    rules = find_evaluating_class(next(c.__name__ for c in found.__mro__ if "evaluate" in vars(c)))
    assert definition.metric == rules.metric_of(definition.dataset)


def test_names_of_the_issue_are_prepared() -> None:
    names = (
        "MathVista_MINI,MathVerse_MINI_Vision_Only,MathVision_MINI,LogicVista,DynaMath,WeMath,MMMU_DEV_VAL,"
        "MMStar,POPE,TextVQA_VAL,SEEDBench_IMG,MME,OCRBench,ChartQA_TEST,RealWorldQA,HallusionBench,gsm8k,"
        "math_500,mmlu"
    )
    assert [d.name for d in lookup.find_all(names)] == names.split(",")


def test_a_mapping_overrides_a_prepared_entry() -> None:
    definition = lookup.find({"name": "POPE", "axis": "other", "group": "objects", "max_new_tokens": 8})
    assert (definition.axis, definition.group, definition.max_new_tokens) == ("other", "objects", 8)
    assert definition.metric == lookup.find("POPE").metric
    short = lookup.find({"name": "mini_total", "max_new_tokens": 3})
    assert short.source == lookup.find("mini_total").source and short.max_new_tokens == 3


def test_any_other_name_of_vlmevalkit_needs_an_axis() -> None:
    with pytest.raises(
        UserError, match=r"MMVP is not in the prepared table.*\{name: MMVP, axis: perception\}"
    ):
        lookup.find("MMVP")
    found = lookup.find({"name": "MMVP", "axis": "perception"})
    assert (found.dataset_class, found.metric, found.answers) == ("ImageMCQDataset", "option", "option")
    assert found.source.tsv is not None and found.on_dev
    with pytest.raises(UserError, match="MVBench asks about videos"):
        lookup.find({"name": "MVBench", "axis": "perception"})
    with pytest.raises(UserError, match="MMMB is a collection"):
        lookup.find({"name": "MMMB", "axis": "perception"})
    circular = lookup.find({"name": "CCBench", "axis": "perception"})
    assert circular.metric == "circular"
    noprompt = lookup.find({"name": "DynaMath_noprompt", "axis": "reasoning"})
    assert (noprompt.metric, noprompt.judge, noprompt.answers) == ("dynamath", "rule", "json")


def test_a_table_of_ones_own_needs_a_class() -> None:
    with pytest.raises(UserError, match=r"no dataset 'M3CoT'.*name one of its classes"):
        lookup.find({"name": "M3CoT", "axis": "reasoning"})
    found = lookup.find({"name": "M3CoT", "axis": "reasoning", "class": "ImageMCQDataset"})
    assert (found.metric, found.dataset) == ("option", "M3CoT")
    task = lookup.find({"name": "arc_easy", "kind": "lm_eval"})
    assert task.axis == "text" and task.source.lm_eval is not None and task.source.lm_eval.task == "arc_easy"


def test_a_json_list_of_names_and_mappings() -> None:
    text = '["mini_total", {"name": "BLINK", "sha256": {"tsv": "abc"}}, "mini_total"]'
    assert [d.name for d in lookup.find_all(text)] == ["mini_total", "BLINK"]
    assert lookup.find_all(text)[1].sha256 == {"tsv": "abc"}
    for faulty, complaint in (
        ('["mini_total"', "not valid JSON"),
        ('["POPE", {"name": "POPE", "axis": "other"}]', "described twice"),
        ('[{"axis": "other"}]', "a mapping with `name`"),
        ('[{"name": "POPE", "axs": "other"}]', r"benchmark POPE: axs"),
        ('[{"name": "My bench", "axis": "other", "class": "ImageMCQDataset"}]', "name: String should match"),
        ('[{"name": "POPE", "source": {}}]', "source: .*exactly one"),
    ):
        with pytest.raises(UserError, match=complaint):
            lookup.find_all(faulty)


def test_the_catalogue_is_printed() -> None:
    done = invoke(catalogue.main)
    assert done.exit_code == 0
    line = next(line for line in done.stdout.splitlines() if line.split()[:1] == ["DynaMath"])
    assert line.split()[1:3] == ["reasoning", "5,010"] and "rule judge" in line and " qid " in line
    assert "5,127?" in done.stdout, "a figure that nobody checked is marked"
    entries = json.loads(invoke(catalogue.main, "--json", "--axis", "text").stdout)
    assert [entry["name"] for entry in entries] == ["gsm8k", "math_500", "mmlu"]
    assert refused(invoke(catalogue.main, "--axis", "tset"), "no benchmark has the axis 'tset'")
