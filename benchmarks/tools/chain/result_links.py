"""The last links: scores, the text column, tables and the summary."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.answering import keys, predictions
from benchmarks.study.slices.text_slice import TextSlice
from benchmarks.tools.chain.chain import AGAIN, BrokenLinkError, Chain, compare, same
from benchmarks.tools.chain.source_links import check_keys
from frism.files import read_json, sha256_file


def score_files(chain: Chain) -> str:
    """What the scores name as their source is what is there: answers, questions, extractor, scorers."""
    from benchmarks.scoring import extraction
    from benchmarks.stages import score

    for variant in chain.variants:
        path = chain.results / "scores" / f"{variant}.provenance.json"
        source = chain.results / "predictions" / f"{variant}.jsonl"
        expected = score.provenance(source, chain.items_folder(variant), chain.study.judge)
        compare(path, read_json(path), expected)
    return f"of {len(chain.variants)} variants, by extractor {extraction.VERSION}"


def scores_again(chain: Chain) -> str:
    """Every answer is scored again, to the same bytes. A judge model's replies are those that were kept."""
    from benchmarks.stages import score

    for variant in chain.variants:
        written = chain.results / "scores" / f"{variant}.csv"
        with tempfile.TemporaryDirectory(prefix="verify-") as folder:
            replies = written.with_suffix(".judge.jsonl")
            if replies.exists():
                shutil.copy(replies, folder)
            answers = chain.results / "predictions" / f"{variant}.jsonl"
            score.run(
                variant, chain.study.benchmark_names, answers, chain.items_folder(variant),
                Path(folder, written.name), chain.study.judge,
            )  # fmt: skip
            for name in (written.name, f"{variant}.official.json"):
                same(written.with_name(name), Path(folder, name))
    return f"{len(chain.variants)} variants, to the same bytes"


def text_files(chain: Chain) -> str:
    """The text answers' sums and keys, and what their scores name as their source."""
    from benchmarks.scoring import extraction

    count = 0
    for owner in chain.study.owners:
        path = chain.results / "predictions" / "text" / f"{owner}.jsonl"
        lines = predictions.read(path)
        origin: dict[str, Any] = (
            {"triple": chain.digests, "recipe": chain.recipes[owner].key}
            if owner in chain.recipes
            else {owner: chain.digests[owner]}
        )
        check_keys(path, lines, origin)
        said = chain.results / "text" / f"{owner}.provenance.json"
        expected = {"predictions": sha256_file(path), "extractor": extraction.VERSION}
        compare(said, read_json(said), expected)
        count += len(lines)
    return (
        f"{count} answers of {len(chain.study.owners)} models" if chain.study.owners else "none in this study"
    )


def text_again(chain: Chain) -> str:
    """Prompts are made anew from the data, and every stored answer to them is scored again."""
    from benchmarks.stages import text

    settings = TextSlice.of(chain.study)
    for owner in chain.study.owners:
        with tempfile.TemporaryDirectory(prefix="verify-") as folder:
            written = chain.results / "text" / f"{owner}.csv"
            out, journal = Path(folder, written.name), Path(folder, "answers.jsonl")
            stored = chain.results / "predictions" / "text" / f"{owner}.jsonl"
            shutil.copy(stored, journal)
            shutil.copy(keys.provenance_path(stored), keys.provenance_path(journal))
            text.run(settings, owner, chain.layout, out, journal, stored=True)
            same(written, out)
    return (
        f"{len(chain.study.owners)} models, to the same bytes" if chain.study.owners else "none in this study"
    )


def one_table(chain: Chain) -> str:
    """questions.csv is made again."""
    from benchmarks.stages.answers_table import write

    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        rows = write(chain.results, chain.study, Path(folder))
        same(chain.results / "questions.csv", Path(folder, "questions.csv"))
    return f"{rows} rows"


def tables(chain: Chain) -> str:
    """All tables and the summary are made again from the scores, and from what was learned."""
    from benchmarks.stages import explain
    from benchmarks.stages.summary import find_missed, render
    from benchmarks.stages.tables import build

    study = chain.study
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        build(chain.results, study, Path(folder))
        spectra = chain.layout.spectra
        explain.build(chain.results, study, Path(folder), spectra if spectra.is_dir() else None)
        made = sorted(Path(folder).iterdir())
        for path in made:
            same(chain.results / "tables" / path.name, path)
        summary = chain.results / "summary.md"
        if summary.read_text(encoding="utf-8") != render(
            study, Path(folder), find_missed(study, chain.results)
        ):
            raise BrokenLinkError(f"{summary} is not what the tables say: {AGAIN}.")
    return f"{len(made)} files and the summary, to the same bytes"
