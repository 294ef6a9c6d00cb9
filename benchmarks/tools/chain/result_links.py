"""Check the last links: scores, the text column, tables and the summary."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.answering import keys, predictions
from benchmarks.study.slices.text_slice import TextSlice
from benchmarks.tools.chain.chain import AGAIN, BrokenLinkError, Chain, check_provenance, check_same_bytes
from benchmarks.tools.chain.source_links import check_keys
from frism.files import read_json, sha256_file


def check_scores(chain: Chain) -> str:
    """Check each score file's provenance against answers, questions, extractor and scorers on disk."""
    from benchmarks.scoring import extraction
    from benchmarks.stages import score

    for variant in chain.variants:
        path = chain.results / "scores" / f"{variant}.provenance.json"
        source = chain.results / "predictions" / f"{variant}.jsonl"
        expected = score.describe_provenance(source, chain.items_folder(variant), chain.study.judge)
        check_provenance(path, read_json(path), expected)
    return f"of {len(chain.variants)} variants, by extractor {extraction.VERSION}"


def rescore(chain: Chain) -> str:
    """Score every answer again and compare bytes; a judge model's replies are the stored ones."""
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
                check_same_bytes(written.with_name(name), Path(folder, name))
    return f"{len(chain.variants)} variants, to the same bytes"


def check_text(chain: Chain) -> str:
    """Check the text answers' sums and keys, and the provenance of their scores."""
    from benchmarks.scoring import extraction

    count = 0
    for owner in chain.study.owners:
        path = chain.results / "predictions" / "text" / f"{owner}.jsonl"
        lines = predictions.read_predictions(path)
        origin: dict[str, Any] = (
            {"triple": chain.digests_of(owner), "recipe": chain.recipes[owner].key}
            if owner in chain.recipes
            else {owner: chain.digests[owner]}
        )
        check_keys(path, lines, origin)
        provenance = chain.results / "text" / f"{owner}.provenance.json"
        expected = {"predictions": sha256_file(path), "extractor": extraction.VERSION}
        check_provenance(provenance, read_json(provenance), expected)
        count += len(lines)
    return (
        f"{count} answers of {len(chain.study.owners)} models" if chain.study.owners else "none in this study"
    )


def rescore_text(chain: Chain) -> str:
    """Make prompts anew from the data and score every stored answer to them again."""
    from benchmarks.stages import text

    settings = TextSlice.of(chain.study)
    for owner in chain.study.owners:
        with tempfile.TemporaryDirectory(prefix="verify-") as folder:
            written = chain.results / "text" / f"{owner}.csv"
            out, journal = Path(folder, written.name), Path(folder, "answers.jsonl")
            stored = chain.results / "predictions" / "text" / f"{owner}.jsonl"
            shutil.copy(stored, journal)
            shutil.copy(keys.get_provenance_path(stored), keys.get_provenance_path(journal))
            text.run(settings, owner, chain.layout, out, journal, stored=True)
            check_same_bytes(written, out)
    return (
        f"{len(chain.study.owners)} models, to the same bytes" if chain.study.owners else "none in this study"
    )


def rebuild_answers(chain: Chain) -> str:
    """Make questions.csv again and compare bytes."""
    from benchmarks.stages.answers_table import write_answers

    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        rows = write_answers(chain.results, chain.study, Path(folder))
        check_same_bytes(chain.results / "questions.csv", Path(folder, "questions.csv"))
    return f"{rows} rows"


def rebuild_tables(chain: Chain) -> str:
    """Make all tables and the summary again from scores and coefficients, and compare bytes."""
    from benchmarks.stages import explain, report_analyses
    from benchmarks.stages.summary import find_missed, render
    from benchmarks.stages.tables import build

    study = chain.study
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        build(chain.results, study, Path(folder))
        spectra = chain.layout.spectra
        explain.build(chain.results, study, Path(folder), spectra if spectra.is_dir() else None)
        if study.analyses:
            report_analyses.build_tables(chain.results, study, Path(folder))
        paths = sorted(Path(folder).iterdir())
        for path in paths:
            check_same_bytes(chain.results / "tables" / path.name, path)
        summary = chain.results / "summary.md"
        if summary.read_text(encoding="utf-8") != render(
            study, Path(folder), find_missed(study, chain.results)
        ):
            raise BrokenLinkError(f"recomputing {summary} from the tables gives different text: {AGAIN}.")
    return f"{len(paths)} files and the summary, to the same bytes"
