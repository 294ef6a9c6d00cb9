"""A made-up finished study as an audit page reads it: real items, tables, summary and provenance files.

Answers are made up (`synthetic_study`), everything else is written by the stages' own code. `HOSTILE` texts
stand where models and data sets put theirs: answers, extracted parts, gold answers, prompts, options,
categories, clusters and indices.
"""

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.answering.predictions import StoredPrediction, compute_checksum
from benchmarks.questions import writing
from benchmarks.registry.lookup import find
from benchmarks.scoring.answer_csv import write_csv
from benchmarks.stages import explain, record
from benchmarks.stages.answers_table import write_answers
from benchmarks.stages.score import describe_provenance
from benchmarks.stages.summary import find_missed, render
from benchmarks.stages.tables import build
from benchmarks.study.config import StudyConfig
from frism.files import sha256_file, write_json
from tests.support.studies import study_of
from tests.support.synthetic_study import config, make

# Each of them sets the page's title, or a global, should it ever run.
HOSTILE = [
    "<script>window.hacked=1</script>",
    '<img src=x onerror="window.hacked=1">',
    "</script><script>window.hacked=1</script>",
    "<svg onload=window.hacked=1><circle r=9></svg>",
    "');window.hacked=1;('",
    "\\');window.hacked=1;//",
    "[click](javascript:window.hacked=1)",
    "\u2028window.hacked=1\u2029\U0001f600 \u202e odd",
    '<a href="javascript:window.hacked=1">x</a>',
    "{{constructor.constructor('window.hacked=1')()}}",
    "__proto__",
]
WORDS = [
    "so",
    "the",
    "tile",
    "is",
    "red",
    "then",
    "we",
    "add",
    "four",
    "and",
    "count",
    "again",
    "wait",
    "seven",
    "left",
]
FEW = ["vlm", "inject", "inject_late", "frism", "frism_uniform", "frism_shuffled"]
BENCHMARKS = ["mini_number", "mini_count", "mini_add", "mini_total", "mini_net", "mini_total_unasked"]


def settings_of(
    variants: list[str], benchmarks: list[str], text: list[str], resamples: int
) -> dict[str, Any]:
    """The settings of a study with some of the made-up variants."""
    whole = config(
        study="made_up", benchmarks=benchmarks, text=text,
        statistics={"confidence": 0.95, "resamples": resamples},
    )  # fmt: skip
    whole["variants"] = {
        v: whole["variants"].get(v, {"method": "inject", "params": {"strength": 0.5}}) for v in variants
    }
    return whole


def make_finished(
    folder: Path, *, variants: list[str] | None = None, benchmarks: list[str] | None = None, n: int = 20,
    words: int = 8, hostile: bool = True, resamples: int = 200, text_of: str = "all",
) -> tuple[Path, StudyConfig]:  # fmt: skip
    """Write a finished study into `folder`/made_up; return that folder and the study."""
    settings = settings_of(variants or FEW, benchmarks or BENCHMARKS, ["mini_total"], resamples)
    settings["text_of"] = text_of
    study, results = study_of(settings), folder / "made_up"
    make(results, settings, n=n, n_dev=20)
    for variant in study.variants if text_of == "parents" else ():
        (results / f"text/{variant}.csv").unlink()
    definitions = [find(b).model_copy(update={"sha256": {}}) for b in study.benchmark_names]
    writing.write_items(results / "items", definitions, {"test": n})
    _speak(results, study, words, hostile)
    if hostile:
        _spoil_items(results / "items", study.benchmark_names)
    write_json(results / "study.json", record.describe_run(study))
    _predict(results, study)
    build(results, study, results / "tables")
    explain.build(results, study, results / "tables")
    (results / "summary.md").write_text(
        render(study, results / "tables", find_missed(study, results)), encoding="utf-8"
    )
    (results / "figures").mkdir()
    for name in ("trade_off", "gates"):
        Image.new("RGB", (60, 40), "white").save(results / f"figures/{name}.png")
    write_answers(results, study, results)
    return results, study


def _speak(results: Path, study: StudyConfig, words: int, hostile: bool) -> None:
    """Give every answer a text of its own, clusters to one benchmark, and hostile texts to another."""
    rng = random.Random(0)
    for path in sorted(results.glob("scores/*.csv")):
        if path.name.endswith(".cost.csv"):
            continue
        table = pd.read_csv(path, dtype={"index": str, "extracted": str}, keep_default_na=False)
        said = [" ".join(rng.choices(WORDS, k=words)) for _ in range(len(table))]
        table["raw"] = [
            f"{text} . Answer {x or '?'}" for text, x in zip(said, table["extracted"], strict=True)
        ]
        table["cluster"] = np.where(
            table["benchmark"] == "mini_net", [f"pair {int(i) // 2}" for i in table["index"]], ""
        )
        if hostile:
            own = table.index[table["benchmark"] == "mini_total"]
            for k, place in enumerate(own):
                text = HOSTILE[k % len(HOSTILE)]
                table.loc[place, "raw"] = f"{text} says the model . Answer {text}"
                table.loc[place, "extracted"] = text
            table.loc[own, "answer"] = [HOSTILE[k % len(HOSTILE)] for k in range(len(own))]
        table["extracted"] = table["extracted"].replace("", None)
        write_csv(table, path)


def _spoil_items(items: Path, benchmarks: list[str]) -> None:
    """Put hostile texts into prompts, categories and one picture's file."""
    manifest = json.loads((items / "manifest.json").read_text())
    path = items / "test/mini_total.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for k, row in enumerate(rows):
        text = HOSTILE[k % len(HOSTILE)]
        row["message"].append({"type": "text", "value": f"{text}\nA. {text}\nB. other"})
        row["answer"] = text
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    manifest["files"]["test/mini_total.jsonl"] = sha256_file(path)
    picture = items / next(p["value"] for p in rows[0]["message"] if p["type"] == "image")
    picture.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" onload="window.hacked=1"><circle r="9"/></svg>'
    )
    (items / "manifest.json").write_text(json.dumps(manifest))
    table = items / "test" / f"{find('mini_total').dataset}.tsv"
    csv.field_size_limit(2**30)
    with table.open(encoding="utf-8", newline="") as stream:
        header, *lines = csv.reader(stream, delimiter="\t")
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t")
        writer.writerow([*header, "category"])
        writer.writerows([*line, HOSTILE[k % len(HOSTILE)]] for k, line in enumerate(lines))


def _predict(results: Path, study: StudyConfig) -> None:
    """Write predictions and the provenance of scores, as the stages leave them."""
    (results / "predictions").mkdir()
    for variant in study.variants:
        table = pd.read_csv(results / f"scores/{variant}.csv", dtype=str, keep_default_na=False)
        lines = []
        for row in table.to_dict("records"):
            fields = {"key": "0", "benchmark": row["benchmark"], "index": row["index"], "item": "0",
                      "raw": row["raw"], "tokens": int(row["tokens"]), "truncated": False,
                      "seconds": 0.01}  # fmt: skip
            lines.append(StoredPrediction(**fields, sum=compute_checksum(fields)).text())
        path = results / f"predictions/{variant}.jsonl"
        path.write_text("".join(lines), encoding="utf-8")
        provenance = describe_provenance(path, results / "items")
        write_json(results / f"scores/{variant}.provenance.json", provenance)
