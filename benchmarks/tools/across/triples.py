"""Read finished studies of several triples, and refuse what cannot be put side by side.

Compared are the variants and benchmarks that all of them have; what is left out is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import RECORD
from benchmarks.study.results import read_scores, read_text
from benchmarks.tables.score_matrix import ScoreMatrix
from benchmarks.tools.foreign.runs import RULES, read_provenance
from frism.errors import UserError
from frism.method.recipe import Recipe

UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class TripleStudy:
    """Holds one finished study.

    Attributes:
        folder: of its results. digests: of B, V and R, by role. answers: test scores of the variants on the
            benchmarks that all studies share. words: of B and R on the text column; empty without one.
    """

    folder: Path
    study: StudyConfig
    digests: Mapping[str, str]
    answers: ScoreMatrix
    words: ScoreMatrix

    @property
    def name(self) -> str:
        """Return the study's name."""
        return self.study.study

    @property
    def cell(self) -> str:
        """Return the kind of V and of R, "turned/forgetful"; studies without labels are of one cell."""
        return "/".join(self.study.labels.values()) or UNLABELLED


@dataclass(frozen=True)
class Population:
    """Holds studies of different triples, what they share, and what of them is left out, and why."""

    triples: tuple[TripleStudy, ...]
    variants: tuple[str, ...]
    benchmarks: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def reference(self) -> str:
        """Return the variant that is V, alike in all studies."""
        return self.triples[0].study.reference

    @property
    def settings(self) -> StudyConfig:
        """Return the first study: what all must have alike (roles, budgets, methods) is read there."""
        return self.triples[0].study

    @property
    def groups(self) -> dict[str, list[str]]:
        """Group the shared benchmarks: perception, reasoning, then the others."""
        return self.triples[0].answers.by_heading()

    @property
    def bases(self) -> dict[str, str]:
        """Name each base, by its digest: B1, B2, ... in the order of the studies."""
        digests = dict.fromkeys(triple.digests["base"] for triple in self.triples)
        return {digest: f"B{number}" for number, digest in enumerate(digests, 1)}

    @property
    def cells(self) -> list[str]:
        """List the cells, in order of appearance."""
        return list(dict.fromkeys(triple.cell for triple in self.triples))


def read_population(folders: Sequence[Path]) -> Population:
    """Read studies. Raises UserError, in one sentence, for what is unfinished or cannot be compared."""
    if len(set(map(Path.resolve, folders))) < 2:
        raise UserError("one study says nothing of triples: name the results of two or more.")
    studies = {folder: StudyConfig.read(folder / RECORD) for folder in folders}
    _check_alike(studies)
    first = next(iter(studies.values()))
    left_out: list[str] = []
    variants = _share("variant", {f: list(s.variants) for f, s in studies.items()}, left_out)
    benchmarks = _share("benchmark", {f: s.benchmark_names for f, s in studies.items()}, left_out)
    if not benchmarks:
        asked = "; ".join(f"{s.study}: {', '.join(s.benchmark_names)}" for s in studies.values())
        raise UserError(f"no benchmark was asked in all studies ({asked}): name studies of the same ones.")
    if set(variants) <= {first.reference}:
        raise UserError("the studies share no variant beside the unmodified model: name studies that do.")
    _check_methods(studies, variants)
    triples = tuple(_read(folder, study, benchmarks) for folder, study in studies.items())
    _check_rules(triples, variants)
    _check_headings(triples)
    _check_different(triples)
    return Population(triples, tuple(variants), tuple(benchmarks), tuple(left_out))


def _read(folder: Path, study: StudyConfig, benchmarks: Sequence[str]) -> TripleStudy:
    scores = read_scores(folder, study)
    words = read_text(folder, study)
    answers = ScoreMatrix.of(scores[scores["benchmark"].isin(benchmarks)], benchmarks)
    text = ScoreMatrix.of(words, study.text_names) if len(words) else ScoreMatrix({}, {}, {})
    recipe, _ = Recipe.load(folder / "variants" / study.reference)
    return TripleStudy(folder, study, dict(recipe.triple), answers, text)


def _share(what: str, listed: Mapping[Path, Sequence[str]], left_out: list[str]) -> list[str]:
    """List what all studies have, in the first one's order; note what is left out."""
    everywhere = dict.fromkeys(name for names in listed.values() for name in names)
    common = [name for name in everywhere if all(name in names for names in listed.values())]
    for name in everywhere:
        lacking = [folder.name for folder, names in listed.items() if name not in names]
        if lacking:
            left_out.append(f"{what} {name}, which {_count(lacking)} lack")
    return common


def _count(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} studies"


def _check_alike(studies: Mapping[Path, StudyConfig]) -> None:
    """Raise UserError unless the studies chose and answered by the same rules."""
    (first, one), *others = studies.items()
    facts: dict[str, Any] = {
        "the unmodified model's name": lambda s: s.reference,
        "selection.perception_budget": lambda s: s.selection.perception_budget,
        "selection.third_budget": lambda s: s.selection.third_budget,
        "engine.sampling": lambda s: s.engine.sampling,
    }
    for folder, study in others:
        for name, read in facts.items():
            if read(study) != read(one):
                raise UserError(
                    f"{first} and {folder} differ in {name} ({read(one)} and {read(study)}), so their scores"
                    " cannot be put side by side: run one of them again with the other's setting."
                )
    names = [study.study for study in studies.values()]
    for folder, study in studies.items():
        if names.count(study.study) > 1:
            raise UserError(
                f"{folder} is named {study.study}, as another one is: give the studies own names."
            )


def _check_methods(studies: Mapping[Path, StudyConfig], variants: Sequence[str]) -> None:
    (first, one), *others = studies.items()
    for folder, study in others:
        for name in variants:
            for key in ("method", "reference"):
                mine, theirs = getattr(one.variants[name], key), getattr(study.variants[name], key)
                if mine != theirs:
                    raise UserError(
                        f"variant {name} has {key} {mine} in {first} and {theirs} in {folder}: rename one."
                    )


def _check_rules(triples: Sequence[TripleStudy], variants: Sequence[str]) -> None:
    """Raise UserError where scores were made by different versions of the rules."""
    seen: dict[str, tuple[object, Path]] = {}
    for triple in triples:
        for name in variants:
            path = triple.folder / "scores" / f"{name}.csv"
            provenance = read_provenance(path)
            for rule in RULES:
                if rule in provenance:
                    value, other = seen.setdefault(rule, (provenance[rule], path))
                    if value != provenance[rule]:
                        raise UserError(
                            f"{other} and {path} were scored by different versions of {rule}: run snakemake"
                            " on the older study again, which scores its answers anew."
                        )


def _check_headings(triples: Sequence[TripleStudy]) -> None:
    first, *others = triples
    for other in others:
        for name, heading in first.answers.headings.items():
            if other.answers.headings[name] != heading:
                raise UserError(
                    f"benchmark {name} counts as {heading} in {first.folder} and as"
                    f" {other.answers.headings[name]} in {other.folder}: make them agree and run one again."
                )


def _check_different(triples: Sequence[TripleStudy]) -> None:
    seen: dict[tuple[str, ...], Path] = {}
    for triple in triples:
        key = tuple(triple.digests[role] for role in ("base", "vlm", "lrm"))
        other = seen.setdefault(key, triple.folder)
        if other != triple.folder:
            raise UserError(f"{other} and {triple.folder} are studies of one triple: leave one of them out.")


def take_cell(population: Population, cell: str) -> Population:
    """Return the triples of one cell."""
    return replace(population, triples=tuple(t for t in population.triples if t.cell == cell))
