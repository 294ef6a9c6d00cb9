"""Read the files that a study's stages left: scores, text scores, dev scores, choices."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.study import marks
from benchmarks.study.config import PARENTS, StudyConfig
from benchmarks.study.sample_means import average_samples
from frism.errors import UserError
from frism.files import read_json

SCORE_COLUMNS = ("benchmark", "axis", "group", "index", "extracted", "correct", "correct_raw", "truncated",
                 "repeated", "tokens")  # fmt: skip
TEXT_COLUMNS = ("benchmark", "index", "correct")
DEV_COLUMNS = ("variant", "point", "params", "benchmark", "axis", "group", "n", "correct")
# Of columns that are counted no cell may be a text; some may be empty.
NUMBERS = ("correct", "correct_raw", "correct_judge", "n", "point", "sample", "vote", "tokens")
MARKS = ("truncated", "repeated")  # yes or no
# Read where a file has them.
OPTIONAL = ("cluster", "answer", "correct_judge", "extracted", "rule", "truncated", "repeated", "tokens",
            "sample", "vote")  # fmt: skip


def get_heading(axis: str, group: str) -> str:
    """Return the heading that a score is averaged under: the axis, or the group for the axis `other`."""
    return group if axis == "other" else axis


def read_scores(results: Path, study: StudyConfig) -> pd.DataFrame:
    """Read per-question test scores of all variants, with a column `heading`; variants in config order.

    Where questions were answered by several samples, a row is their mean (`average_samples`). Raises
    UserError when a file is missing or broken, or when a variant did not answer the very questions that the
    reference answered.
    """
    return average_scores(read_answers(results, study), results, study)


def average_scores(answers: pd.DataFrame, results: Path, study: StudyConfig) -> pd.DataFrame:
    """Average what `read_answers` gives over the samples of every question, and check it as `read_scores`."""
    scores = average_samples(answers, str(results / "scores"))
    _check_complete(scores, list(study.variants), study.benchmark_names, study.reference, results / "scores")
    return scores


def read_answers(results: Path, study: StudyConfig) -> pd.DataFrame:
    """Read test scores as `read_scores` does, but with a row per answer: of every sample, if there are any.

    Raises UserError when a file is missing or broken.
    """
    parts = []
    for variant in study.variants:
        frame = _read_csv(results / "scores" / f"{variant}.csv", SCORE_COLUMNS).assign(variant=variant)
        parts.append(frame[frame["benchmark"].isin(study.benchmark_names)])
    scores = pd.concat(parts, ignore_index=True)
    scores["heading"] = [get_heading(a, g) for a, g in zip(scores["axis"], scores["group"], strict=True)]
    return scores


def read_text(results: Path, study: StudyConfig) -> pd.DataFrame:
    """Read per-question text scores of the variants and the triple's language models; empty without tasks."""
    return average_text(read_text_answers(results, study), results, study)


def average_text(answers: pd.DataFrame, results: Path, study: StudyConfig) -> pd.DataFrame:
    """Average what `read_text_answers` gives over the samples of every question, and check it."""
    if answers.empty:
        return answers
    text, folder = average_samples(answers, str(results / "text")), results / "text"
    _check_complete(text, _list_owners(folder, study), study.text_names, study.text_reference, folder)
    return text


def read_text_answers(results: Path, study: StudyConfig) -> pd.DataFrame:
    """Read text scores as `read_text` does, but with a row per answer."""
    folder, parts = results / "text", []
    for owner in _list_owners(folder, study) if study.text else []:
        frame = _read_csv(folder / f"{owner}.csv", TEXT_COLUMNS).assign(variant=owner)
        parts.append(frame[frame["benchmark"].isin(study.text_names)])
    if not parts:
        return pd.DataFrame(columns=["variant", *TEXT_COLUMNS])
    return pd.concat(parts, ignore_index=True).assign(heading="text")


def read_run(path: Path) -> pd.DataFrame:
    """Read the per-question scores of one file, of questions with pictures or in words, with a `heading`.

    Raises UserError for a file that is missing, broken or no table of scores.
    """
    frame = average_samples(_read_csv(path, TEXT_COLUMNS, optional=(*SCORE_COLUMNS, *OPTIONAL)), str(path))
    optional = [c for c in OPTIONAL if c not in ("sample", "vote")]
    given = frame.reindex(columns=list(dict.fromkeys([*frame.columns, *SCORE_COLUMNS, *optional])))
    text = given["axis"].isna()  # a study's text scores have none
    given = given.assign(axis=given["axis"].where(~text, "text"), group=given["group"].where(~text, "text"))
    given["heading"] = [get_heading(a, g) for a, g in zip(given["axis"], given["group"], strict=True)]
    _check_range(given, path.parent, path.stem)
    return given


def read_dev(results: Path, study: StudyConfig) -> pd.DataFrame:
    """Read dev scores of every grid point of every variant. A variant without a grid may lack its dev.csv."""
    parts = []
    for variant, settings in study.variants.items():
        path = results / "variants" / variant / "dev.csv"
        if settings.swept or path.exists():
            frame = _read_csv(path, DEV_COLUMNS, text=("params",)).assign(variant=variant)
            if not (frame["correct"].between(0, frame["n"]) & frame["point"].ge(0)).all():
                raise UserError(f"{path} counts more right answers than questions: run the stage again.")
            parts.append(frame[frame["benchmark"].isin(study.benchmark_names)])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(DEV_COLUMNS))


def read_points(results: Path, study: StudyConfig) -> dict[str, pd.DataFrame]:
    """Read test scores of grid points, per variant that has any: point, params, benchmark, axis, n, correct.

    With `selection.oracle` a study answers the test questions with every grid point, into
    variants/VARIANT/points/POINT/test.csv; else with the chosen one alone, and there is nothing to read.
    """
    scores: dict[str, pd.DataFrame] = {}
    for variant in study.variants if study.selection.oracle else ():
        parts = []
        for path in (results / "variants" / variant / "points").glob("*/test.csv"):
            frame = average_samples(_read_csv(path, SCORE_COLUMNS), str(path))
            frame = frame[frame["benchmark"].isin(study.benchmark_names)]
            grouped = frame.groupby("benchmark", sort=False)
            recipe = read_json(path.with_name("recipe.json"))
            part = grouped[["axis"]].first().assign(n=grouped.size(), correct=grouped["correct"].sum())
            parts.append(
                part.reset_index().assign(
                    point=int(path.parent.name), params=serialise_params(recipe["params"])
                )
            )
        if parts:
            scores[variant] = pd.concat(parts, ignore_index=True).sort_values("point", kind="stable")
    return scores


def read_choice(results: Path, variant: str) -> dict[str, Any]:
    """Read the chosen parameters of a variant (choice.json); {} for one that had no choice to make."""
    path = results / "variants" / variant / "choice.json"
    choice = read_json(path) if path.exists() else {}
    missing = {"point", "params", "budget_missed"} - choice.keys()
    if choice and missing:
        raise UserError(f"{path} lacks {min(missing)}: delete it and run again.")
    if choice and not (type(choice["point"]) is int and isinstance(choice["params"], dict)):
        raise UserError(f"{path} names no point of a grid: delete it and run again.")
    return choice


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV that `benchmarks.stages.tables` wrote."""
    return _read_csv(path, ())


def format_params(params: dict[str, Any]) -> str:
    """Format parameters for readers: `strength=0.3, alpha=0.1`."""
    return ", ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in params.items())


def serialise_params(params: dict[str, Any]) -> str:
    """Serialise parameters for a cell: JSON with sorted keys."""
    return json.dumps(params, sort_keys=True)


def _list_owners(folder: Path, study: StudyConfig) -> list[str]:
    """List the variants, and the triple's language models as far as they have text scores."""
    parents = [p for p in PARENTS if p not in study.variants and (folder / f"{p}.csv").exists()]
    return parents if study.text_of == "parents" else [*study.variants, *parents]


def _read_csv(
    path: Path, columns: tuple[str, ...], text: tuple[str, ...] = (), optional: tuple[str, ...] = OPTIONAL
) -> pd.DataFrame:
    # An answer may read "null", "NA" or "none": only an empty cell is missing.
    kinds = dict.fromkeys(
        ("index", "variant", "benchmark", "group", "axis", "answer", "raw", "extracted", "cluster", *text),
        str,
    )
    try:
        # Of large files (the raw answers) only what is counted is read.
        wanted = (lambda c: c in columns or c in optional or c.startswith(marks.ON_DEV)) if columns else None
        frame = pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values=[""], usecols=wanted)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the stage that writes it (snakemake does).") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a readable CSV ({error}): delete it and run again.") from None
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise UserError(f"{path} lacks the column {missing[0]}: delete it and run again.")
    if columns:
        _check_cells(frame, path)
    return frame


def _check_cells(frame: pd.DataFrame, path: Path) -> None:
    """Raise UserError for a cell of scores that no scoring writes: an answer without a question, a text."""
    for name in frame.columns.intersection(["benchmark", "index"]):
        if frame[name].isna().any():
            raise UserError(f"{path} has an empty cell in its column {name}: delete it and run again.")
    for name in frame.columns.intersection([*NUMBERS, *MARKS]) if len(frame) else ():
        known = frame[name].dropna()
        if not (known.isin([True, False]).all() if name in MARKS else pd.api.types.is_numeric_dtype(known)):
            raise UserError(f"{path} holds a text in its column {name}: delete it and run again.")


def _check_complete(
    frame: pd.DataFrame, owners: list[str], benchmarks: list[str], reference: str, folder: Path
) -> None:
    """Raise UserError unless every owner answered the reference's questions, each once, scored in 0 to 1."""
    questions = {
        key: np.sort(rows["index"].to_numpy(object))
        for key, rows in frame[["variant", "benchmark", "index"]].groupby(["variant", "benchmark"])
    }
    for owner in owners:
        path = folder / f"{owner}.csv"
        for benchmark in benchmarks:
            answered, expected = questions.get((owner, benchmark)), questions.get((reference, benchmark))
            if answered is None or expected is None:
                empty = path if answered is None else folder / f"{reference}.csv"
                raise UserError(f"{empty} has no answers for {benchmark}: delete it and run again.")
            if (
                len(answered) != len(expected)
                or (answered != expected).any()
                or len(set(answered)) != len(answered)
            ):
                raise UserError(
                    f"{path} and {folder / f'{reference}.csv'} hold different questions of {benchmark}"
                    f" ({len(answered)} and {len(expected)}): delete both and run again."
                )
    for owner in owners:
        _check_range(frame[frame["variant"] == owner], folder, owner)


def _check_range(frame: pd.DataFrame, folder: Path, owner: str) -> None:
    """Raise UserError unless every score is in 0 to 1."""
    wrong = frame[~frame["correct"].between(0, 1)]
    if len(wrong):
        path = folder / f"{owner}.csv"
        benchmark = wrong["benchmark"].iloc[0]
        raise UserError(f"{path} has a score of {benchmark} that is not in 0 to 1: delete it and run again.")
