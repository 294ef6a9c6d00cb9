"""Find runs that were scored, here or elsewhere, and pair them on the questions that all of them answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.study.results import read_run
from frism.errors import UserError, suggest
from frism.files import read_json

TEXT = "text"  # the heading of benchmarks in words
COSTS = ".cost.csv"  # beside scores: times, which are no scores
# What must be the same for scores to be comparable, in the provenance beside them.
RULES = ("extractor", "rule_judge", "vlmevalkit", "lm_eval")


@dataclass(frozen=True)
class Paired:
    """Hold runs on the same questions.

    Attributes:
        scores: a row per run and question, with `variant`, as `study.results.read_scores` gives them.
        files: the files of scores of every run, the reference first.
        benchmarks: the names of those that all runs answered.
        left_out: per benchmark that is left out, why; per benchmark cut to its common questions, the number
            of questions that some run lacks.
    """

    scores: pd.DataFrame
    files: dict[str, list[Path]]
    benchmarks: tuple[str, ...]
    left_out: dict[str, str]
    cut: dict[str, int]


def find_runs(arguments: Sequence[str]) -> dict[str, list[Path]]:
    """Find the files of scores behind command line arguments, by label.

    An argument is a file of scores, whose label is its name; LABEL=FILE; a folder of a study or of one
    imported benchmark (with scores/ in it); or a folder of such folders. Raises UserError for what is none.
    """
    runs: dict[str, list[Path]] = {}
    for argument in arguments:
        label, _, name = argument.rpartition("=")
        path = Path(name if label else argument)
        if path.is_dir() and label:
            raise UserError(f"{argument} names a folder: a label goes before a file of scores.")
        for own, file in [(label or path.stem, path)] if not path.is_dir() else _list_files(path):
            if not file.is_file():
                raise UserError(f"{file} is missing: name files of scores, or folders with scores/ in them.")
            if file not in runs.setdefault(own, []):
                runs[own].append(file)
    return runs


def _list_files(folder: Path) -> list[tuple[str, Path]]:
    roots = [folder] if (folder / "scores").is_dir() else sorted(p.parent for p in folder.glob("*/scores"))
    files = [
        (path.stem, path)
        for root in roots
        for path in sorted((root / "scores").glob("*.csv"))
        if not path.name.endswith(COSTS)
    ]
    if not files:
        raise UserError(f"{folder} holds no scores/*.csv: name folders of `frism import` or of a study.")
    labels = {label for label, _ in files}  # of the triple's language models there are text scores alone
    words = [(p.stem, p) for root in roots for p in sorted((root / "text").glob("*.csv")) if p.stem in labels]
    return files + [(label, path) for label, path in words if not path.name.endswith(COSTS)]


def pair_runs(files: Mapping[str, Sequence[Path]], reference: str | None, subset: bool = False) -> Paired:
    """Read runs and pair them; the reference, by default the first, comes first.

    Args:
        subset: compare on the questions that all runs answered, where some answered more.

    Raises UserError for fewer than two runs, another question or gold answer under the same index, scores by
    different rules, and runs without a common benchmark.
    """
    if len(files) < 2:
        raise UserError(f"there is one run alone ({', '.join(files)}): name two or more.")
    if reference is not None and reference not in files:
        raise UserError(f"no run is called '{reference}' ({', '.join(files)}).{suggest(reference, files)}")
    first = reference or next(iter(files))
    ordered = {label: list(files[label]) for label in [first, *(label for label in files if label != first)]}
    _check_rules([path for paths in ordered.values() for path in paths])
    frames = {label: _read(label, paths) for label, paths in ordered.items()}
    _name_words_apart(frames)
    everywhere = dict.fromkeys(name for frame in frames.values() for name in frame["benchmark"].unique())
    lacking = {name: [k for k, f in frames.items() if name not in set(f["benchmark"])] for name in everywhere}
    common = tuple(name for name in everywhere if not lacking[name])
    if not common:
        asked = "; ".join(f"{k}: {', '.join(f['benchmark'].unique())}" for k, f in frames.items())
        raise UserError(f"no benchmark was answered by all runs ({asked}): compare runs of the same one.")
    left_out = {name: f"not answered by {', '.join(labels)}" for name, labels in lacking.items() if labels}
    parts, cut = [], {}
    for name in common:
        rows = {label: frame[frame["benchmark"] == name] for label, frame in frames.items()}
        paired, cut[name] = _pair(name, rows, subset)
        parts.append(paired)
    scores = pd.concat(parts, ignore_index=True)
    return Paired(scores, ordered, common, left_out, {name: number for name, number in cut.items() if number})


def _read(label: str, paths: Sequence[Path]) -> pd.DataFrame:
    frames = [read_run(path) for path in paths]
    for number, frame in enumerate(frames):
        for before, other in enumerate(frames[:number]):
            if both := _list_asked(frame) & _list_asked(other):
                raise UserError(
                    f"{label} has answers to {min(both)[0]} in {paths[before]} and in {paths[number]}: name"
                    " the files as LABEL=FILE, with labels that differ."
                )
    whole = pd.concat(frames, ignore_index=True).assign(variant=label)
    if whole.duplicated(["benchmark", "heading", "index"]).any():
        raise UserError(f"{label} has a question twice ({paths[0]}): score it again.")
    return whole


def _list_asked(frame: pd.DataFrame) -> set[tuple[str, bool]]:
    """List the benchmarks of a run, and whether they were asked in words."""
    return set(zip(frame["benchmark"], frame["heading"] == TEXT, strict=True))


def _name_words_apart(frames: dict[str, pd.DataFrame]) -> None:
    """Rename what is asked in words where a benchmark with pictures has the same name."""
    asked = set[tuple[str, bool]]().union(*map(_list_asked, frames.values()))
    for label, frame in frames.items():
        both = (frame["heading"] == TEXT) & frame["benchmark"].map(lambda name: (name, False) in asked)
        frames[label] = frame.assign(benchmark=frame["benchmark"].mask(both, frame["benchmark"] + " (text)"))


def _pair(name: str, rows: Mapping[str, pd.DataFrame], subset: bool) -> tuple[pd.DataFrame, int]:
    """Pair runs on one benchmark; return the rows, and how many questions some run lacks."""
    answered = {label: set(frame["index"]) for label, frame in rows.items()}
    shared, asked = set.intersection(*answered.values()), set.union(*answered.values())
    numbers = ", ".join(f"{label} {len(indices)}" for label, indices in answered.items())
    if not shared or (len(shared) < len(asked) and not subset):
        raise UserError(
            f"the runs answered different questions of {name} ({numbers}; {len(shared)} are common):"
            + (" compare on these with --subset." if shared else " they cannot be paired.")
        )
    first, *others = (
        frame[frame["index"].isin(shared)].set_index("index", drop=False) for frame in rows.values()
    )
    paired = [first]
    for frame in others:
        frame = frame.reindex(first.index)
        known = first["answer"].notna() & frame["answer"].notna()
        differ = known & (first["answer"].astype(str) != frame["answer"].astype(str))
        if differ.any():
            one, other = (f["variant"].dropna().iloc[0] for f in (first, frame))
            raise UserError(
                f"question {differ.idxmax()} of {name} has different right answers in {one} and {other}:"
                " these are not the same questions."
            )
        # What a question is belongs to the reference; what was answered, to the run.
        about = {c: first[c] for c in ("axis", "group", "heading", "cluster")}
        paired.append(frame.assign(**about))
    return pd.concat(paired, ignore_index=True), len(asked) - len(shared)


def read_provenance(scores: Path) -> dict[str, Any]:
    """Read what the scores in a file depend on; {} where nothing says it."""
    path = scores.with_suffix(".provenance.json")
    return read_json(path) if path.is_file() else {}


def _check_rules(paths: Sequence[Path]) -> None:
    """Raise UserError where scores were made by different versions of the rules."""
    seen: dict[str, tuple[object, Path]] = {}
    for path in paths:
        provenance = read_provenance(path)
        for rule in RULES:
            if rule not in provenance:
                continue
            value, other = seen.setdefault(rule, (provenance[rule], path))
            if value != provenance[rule]:
                raise UserError(
                    f"{other} and {path} were scored by different versions of {rule}: score them again, by"
                    " importing the file again or with the study's stage."
                )
