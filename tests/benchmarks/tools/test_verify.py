"""The chain of a small study: it holds, and whatever is changed in it is named in one sentence."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from typer.testing import Result

from benchmarks.answering import keys, predictions
from benchmarks.stages import (
    analyse,
    answers_table,
    explain,
    items,
    predict,
    record,
    report_analyses,
    score,
    summary,
    tables,
    text,
    tune,
)
from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import Layout
from benchmarks.study.slices.analyse_slice import AnalyseSlice
from benchmarks.study.slices.items_slice import ItemsSlice
from benchmarks.study.slices.text_slice import TextSlice
from benchmarks.study.slices.tune_slice import TuneSlice
from benchmarks.tools import verify
from frism.files import sha256_file
from frism.spectra import store
from tests.benchmarks.conftest import invoke
from tests.support.tsvs import make, pinned

ROOT = Path(__file__).resolve().parents[3]
R = Path("results/small")
CONFIG: dict[str, Any] = {
    "study": "small", "seed": 0, "scope": "mat",
    "engine": {"name": "transformers", "max_new_tokens": 4, "batch_size": 8},
    "calibration": {"source": "miniature", "questions": 8},
    "benchmarks": ["mini_number", "mini_total"],
    "text": ["mini_total"], "questions": {"dev": 2, "test": 4}, "prompting": {},
    "selection": {"perception_budget": 0.02}, "statistics": {"confidence": 0.95, "resamples": 100},
    "variants": {
        "vlm": {"method": "vlm", "params": {}, "grid": {}},
        "inject": {"method": "inject", "params": {}, "grid": {"strength": [0.5, 1.0]}},
        "rank_block": {"method": "rank_block", "params": {"blocks": 2}, "grid": {"block": [0, 1]}},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, triple_folders: dict[str, Path]) -> Path:
    """A project folder in which every stage of the study ran, as the workflow would run it."""
    root = tmp_path_factory.mktemp("project")
    for role, folder in triple_folders.items():
        shutil.copytree(folder, root / "weights" / role)
    published = pinned(make("MMStar", root / "data", 8), axis="other")
    config = CONFIG | {
        "triple": {role: f"weights/{role}" for role in triple_folders},
        "data": {"folder": "data"},
        "benchmarks": [*CONFIG["benchmarks"], published],
    }
    (root / "small.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    layout, here = Layout(Path("results/small")), Path.cwd()
    results = layout.root
    os.chdir(root)
    try:
        study = StudyConfig.load(Path("small.yaml"))
        record.write_record(study, layout.record)
        items.run(ItemsSlice.of(study).of_variant(None), layout.items())
        for variant in study.variants:
            tune.run(TuneSlice.of(study), variant, layout)
            answers = results / "predictions" / f"{variant}.jsonl"
            named = ["--study", layout.record, "--variant", variant]
            run(predict.main, *named, "--out", answers)
            scores = results / "scores" / f"{variant}.csv"
            run(score.main, *named, "--predictions", answers, "--out", scores)
        for owner in study.owners:
            journal = results / "predictions/text" / f"{owner}.jsonl"
            text.run(TextSlice.of(study), owner, layout, results / "text" / f"{owner}.csv", journal)
        answers_table.write_answers(results, study, results)
        tables.build(results, study, results / "tables")
        explain.build(results, study, results / "tables", layout.spectra)
        (results / "summary.md").write_text(
            summary.render(study, results / "tables", summary.find_missed(study, results))
        )
    finally:
        os.chdir(here)
    return root


def run(main: Callable[..., None], *arguments: str | Path) -> None:
    done = invoke(main, *arguments)
    assert done.exit_code == 0, done.output


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may damage; the working directory."""
    copy = shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(copy)
    return copy


def checked(*arguments: str) -> Result:
    return invoke(verify.main, "results/small", *arguments)


def test_the_chain_of_a_finished_study_holds(project):
    done = checked("--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["holds"] and found["broken"] is None
    assert list(found["links"]) == [
        "checkpoints", "recipes", "spectra", "spectra again", "questions", "answers", "scores",
        "scored again", "text answers", "text scored again", "one table", "tables",
    ]  # fmt: skip
    assert found["links"]["answers"] == "36 answers of 3 variants"
    assert found["links"]["spectra"].startswith("42 matrices, key ")
    kept = json.loads((R / "verified.json").read_text())
    assert kept["holds"] and kept["links"] == found["links"] and not kept["quick"]
    assert kept["tables"]["axes"] == sha256_file(R / "tables/axes.csv")
    assert kept["record"] == sha256_file(R / "study.json")
    shown = invoke(verify.main, "small.yaml", "--quick")
    assert shown.exit_code == 0
    assert "The chain of small holds" in shown.stdout
    assert "scored again" not in shown.stdout


def test_a_study_may_be_stripped_of_its_spectra_and_its_chain_holds(project):
    shutil.rmtree(R / "spectra")
    done = checked("--json", "--quick")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["links"]["spectra"] == "none kept: they follow from the checkpoints"
    assert not (R / "spectra").exists()


def test_tables_of_analyses_are_made_again_too(project):
    config = yaml.safe_load(Path("small.yaml").read_text())
    config["analyses"] = {"reflection": {"variants": ["inject"], "questions": 2}}
    Path("small.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    study, layout = StudyConfig.load(Path("small.yaml")), Layout(R)
    record.write_record(study, layout.record)
    analyse.run(AnalyseSlice.of(study), "reflection", "inject", layout)
    report_analyses.build(R, study)
    (R / "summary.md").write_text(summary.render(study, R / "tables", summary.find_missed(study, R)))
    done = checked()
    assert done.exit_code == 0, done.output
    table = R / "tables/reflection.csv"
    table.write_text(table.read_text().replace("inject", "inject_", 1))
    done = checked()
    assert done.exit_code == 1 and "reflection.csv" in done.output, done.output


def test_a_study_made_on_a_gpu_can_be_checked_without_one(project):
    """Only the record says where it ran: nothing is generated."""
    for path in [*R.glob("predictions/*.provenance.json"), *R.glob("predictions/text/*.provenance.json")]:
        rekeyed(path, device="NVIDIA H200")
    config = json.loads((R / "study.json").read_text())
    config["config"]["engine"]["device"] = "cuda"
    (R / "study.json").write_text(json.dumps(config))
    for folder in ("scores", "text"):
        for path in R.glob(f"{folder}/*.provenance.json"):
            source = (
                R / "predictions" / ("text" if folder == "text" else "") / f"{path.name.split('.')[0]}.jsonl"
            )
            put(path, "predictions", value=sha256_file(source))
    done = checked()
    assert done.exit_code == 0, done.stderr


def rekeyed(path: Path, **engine: Any) -> None:
    """Let the answers beside a provenance have been made with other settings: keys, sums and all."""
    answers = path.with_name(path.name.replace(".provenance.json", ".jsonl"))
    old, said = keys.recompute_keys(answers), json.loads(path.read_text())
    said["engine"] |= engine
    batches = {
        keys.digest_batch(said["origin"], said["engine"], contents): contents
        for contents in said["batches"].values()
    }
    new: dict[str, str] = {}
    for name, contents in batches.items():
        new |= dict(zip(contents, keys.make_keys(name, contents), strict=True))
    changed = []
    for line in predictions.read_predictions(answers):
        fields = vars(line) | {"key": new[old[line.key]]}
        changed.append(
            predictions.StoredPrediction(**fields | {"sum": predictions.compute_checksum(fields)}).text()
        )
    keys.write_provenance(answers, said["origin"], said["engine"], batches)
    answers.write_text("".join(changed), encoding="utf-8")


def lines_of(
    path: Path, change: Callable[[predictions.StoredPrediction], predictions.StoredPrediction]
) -> None:
    """Change the first line of a predictions file; its sum is made to fit."""
    kept = predictions.read_predictions(path)
    changed = change(kept[0])
    fields = {name: value for name, value in vars(changed).items() if name != "sum"}
    kept[0] = predictions.StoredPrediction(**fields, sum=predictions.compute_checksum(fields))
    path.write_text("".join(line.text() for line in kept), encoding="utf-8")


def cell(path: Path, column: str, value: Any) -> None:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[0, column] = value
    table.to_csv(path, index=False)


def put(path: Path, *place: Any, value: Any) -> None:
    content = json.loads(path.read_text())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(content))


def swap_in_text(path: Path, old: str, new: str) -> None:
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))


def spectrum() -> Path:
    """The file of one matrix's singular directions."""
    return next((R / "spectra").rglob("layers.0.mlp.up_proj.weight.safetensors"))


def respectrum(change: Callable[[dict[str, Tensor]], object], sound: bool) -> None:
    """Change the tensors of a spectrum; with `sound`, its sha256 is made to fit."""
    with safe_open(spectrum(), framework="pt") as opened:
        tensors = {part: opened.get_tensor(part).clone() for part in ("u", "s", "vh")}
        facts = json.loads(opened.metadata()[store.ENTRY])
    change(tensors)
    if sound:
        facts["sha256"] = store.digest_tensors(tensors)
    save_file(tensors, spectrum(), {store.ENTRY: json.dumps(facts)})


DAMAGES: dict[str, tuple[Callable[[], object], str, str]] = {
    "recipe": (
        lambda: put(R / "variants/inject/recipe.json", "params", "strength", value=0.7),
        "recipes", r"results/small/variants/inject/recipe.json says params",
    ),
    "choice": (
        lambda: put(R / "variants/inject/choice.json", "params", "strength", value=0.7),
        "recipes", r"variants/inject/recipe.json says params",
    ),
    "missing spectrum": (
        lambda: spectrum().unlink(),
        "spectra", r"spectra/\w+/layers.0.mlp.up_proj.weight.safetensors is missing",
    ),
    "truncated spectrum": (
        lambda: os.truncate(spectrum(), 3000),
        "spectra", r"spectra/\w+/layers.0.mlp.up_proj.weight.safetensors is truncated or not a spectrum",
    ),
    "changed directions": (
        lambda: respectrum(lambda tensors: tensors["u"][0].mul_(2), sound=False),
        "spectra", r"layers.0.mlp.up_proj.weight.safetensors has tensors that differ from their sha256",
    ),
    "directions of another matrix": (
        lambda: respectrum(lambda tensors: tensors["u"].copy_(tensors["u"].flip(0)), sound=True),
        "spectra again", r"layers.0.mlp.up_proj.weight.safetensors misses [\d.]+e\+00 of the task vector",
    ),
    "published table": (
        lambda: swap_in_text(Path("data/MMStar.tsv"), "\t", "\t "),
        "questions", r"data/MMStar.tsv is not the table that the questions of MMStar were made from",
    ),
    "questions": (
        lambda: swap_in_text(R / "items/test/mini_total.jsonl", '"answer": "', '"answer": "1'),
        "questions", r"items/test/mini_total.jsonl was changed",
    ),
    "picture": (
        lambda: next((R / "items/test").rglob("*.png")).write_bytes(b"no picture"),
        "questions", r"results/small/items/.*png is not the picture",
    ),
    "line": (
        lambda: swap_in_text(R / "predictions/inject.jsonl", '"tokens": ', '"tokens": 1'),
        "answers", r"predictions/inject.jsonl, line 1 was changed",
    ),
    "line with a new sum": (
        lambda: lines_of(R / "predictions/inject.jsonl", lambda line: replace(line, item="0" * 16)),
        "answers", r"predictions/inject.jsonl, line 1: the key \w+ does not follow",
    ),
    "another variant's answers": (
        lambda: [
            shutil.copy(R / f"predictions/vlm.{kind}", R / f"predictions/inject.{kind}")
            for kind in ("jsonl", "provenance.json")
        ],
        "answers", r"predictions/inject.jsonl was generated with other weights",
    ),
    "settings of the engine": (
        lambda: put(R / "predictions/vlm.provenance.json", "engine", "dtype", value="torch.bfloat16"),
        "answers", r"predictions/vlm.provenance.json: batch \w+... does not follow from its origin",
    ),
    "missing answer": (
        lambda: (R / "predictions/vlm.jsonl").write_text(
            "".join((R / "predictions/vlm.jsonl").read_text().splitlines(keepends=True)[1:])
        ),
        "answers", r"predictions/vlm.jsonl lacks the answer to question",
    ),
    "answer with a new sum": (
        lambda: lines_of(R / "predictions/vlm.jsonl", lambda line: replace(line, raw="eight")),
        "scores", r"scores/vlm.provenance.json records predictions .*, but",
    ),
    "older extractor": (
        lambda: put(R / "scores/vlm.provenance.json", "extractor", value=0),
        "scores", r"scores/vlm.provenance.json records extractor 0, but",
    ),
    "score": (
        lambda: cell(R / "scores/inject.csv", "correct", "1.0"),
        "scored again", r"scores/inject.csv gives different bytes",
    ),
    "official total": (
        lambda: put(R / "scores/inject.official.json", "MMStar", "raw", value={"Overall": 1.0}),
        "scored again", r"scores/inject.official.json gives different bytes",
    ),
    "text answer": (
        lambda: swap_in_text(R / "predictions/text/lrm.jsonl", '"raw": "', '"raw": "so '),
        "text answers", r"predictions/text/lrm.jsonl, line 1 was changed",
    ),
    "text score": (
        lambda: cell(R / "text/base.csv", "correct", "1.0"),
        "text scored again", r"text/base.csv gives different bytes",
    ),
    "one table": (
        lambda: cell(R / "questions.csv", "correct", "1.0"),
        "one table", r"questions.csv gives different bytes",
    ),
    "cell of a table": (
        lambda: cell(R / "tables/benchmarks.csv", "score", "0.9999"),
        "tables", r"tables/benchmarks.csv gives different bytes",
    ),
    "missing table": (
        lambda: (R / "tables/axes.md").unlink(),
        "tables", r"cannot read results/small/tables/axes.md",
    ),
    "summary": (
        lambda: swap_in_text(R / "summary.md", "#", "# Better:"),
        "tables", r"summary.md from the tables gives different text",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_first_broken_link_is_one_sentence(damage, project):
    spoil, link, sentence = DAMAGES[damage]
    spoil()
    done = checked()
    assert done.exit_code == 1, done.output
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("broken: ")]
    assert said.startswith(f"broken: {link}: "), said
    assert re.search(sentence, said), said
    assert "holds" not in done.stdout


def test_a_swapped_checkpoint_is_named(project, edit_weights):
    edit_weights(project / "weights/lrm", lambda tensors: tensors["model.norm.weight"].add_(1))
    done = checked("--quick")
    assert done.exit_code == 1
    assert re.search(r"broken: checkpoints: weights/lrm \(lrm\) is not the checkpoint that", done.stderr)


def test_a_config_that_was_not_run_is_refused(project):
    config = yaml.safe_load(Path("small.yaml").read_text())
    config["statistics"]["confidence"] = 0.9
    Path("small.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    done = invoke(verify.main, "small.yaml")
    assert done.exit_code == 2
    assert (
        "small.yaml differs in statistics.confidence from the config that results/small was run with"
        in done.stderr
    )
    for target in ("results/other", "README.md"):
        assert invoke(verify.main, target).exit_code == 2


def test_it_is_a_command_of_frism_once_the_project_is_installed(project, tmp_path):
    """What pip would write of pyproject.toml's entry points."""
    import tomllib

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    about = tmp_path / "frism-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: frism\nVersion: 0\n")
    lines = [f"{name} = {value}\n" for name, value in declared["frism.commands"].items()]
    (about / "entry_points.txt").write_text("[frism.commands]\n" + "".join(lines) + "lost = nowhere:main\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}

    def frism(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "frism", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert re.search(r"verify\s+Recompute a study's chain", frism("--help").stdout)
    done = frism("verify", "results/small", "--quick")
    assert done.returncode == 0, done.stderr
    assert "The chain of small holds" in done.stdout
    lost = frism("lost")
    assert lost.returncode == 2
    assert "nowhere:main cannot be imported" in lost.stderr
    assert frism("verfy").returncode == 2
