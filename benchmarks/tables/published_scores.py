"""Set a study's scores beside published ones: paper, ours, and whether the paper's lies in our interval.

The numbers stand in results/reference/papers/NAME.yaml, a file per triple, each with its source and whether
anybody checked it; `published: NAME` in a study's config makes the table. A published number has a sampling
error of its own, which is hardly ever stated, so "within" takes it as exact.
"""

import math
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmarks.study.config import StudyConfig
from benchmarks.study.variant_config import VariantConfig
from benchmarks.tables.cells import list_names, make_columns, make_estimate
from frism.errors import UserError, describe_first_fault, suggest

FOLDER = Path(__file__).resolve().parents[2] / "results" / "reference" / "papers"
COLUMNS = (
    *make_columns("name", "source", "row", "variant", "name"),
    *make_columns("share", "paper"),
    *make_estimate("ours"),
    *make_columns("share", "gap"),
    *make_columns("mark", "within"),
    *make_columns("share", "paper_gain"),
    *make_estimate("gain"),
    *make_columns("mark", "gain_within", "verified"),
    *make_columns("name", "note"),
)
AXES = ("reasoning", "perception")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Citation(_Strict):
    """The paper that numbers come from.

    Attributes:
        citation: the paper and the table. read_in: what was really read.
        verified: whether somebody compared the numbers with the paper.
        averages: what the paper's axis means are taken over. base: the base model that it names.
    """

    citation: str
    read_in: str
    verified: bool
    averages: str
    base: str


class PublishedScore(_Strict):
    """One row of a published table: per cent by axis or benchmark.

    Attributes:
        row: the row's name in the paper. method: the method here that it is compared with, if there is one.
        params: parameters that the paper fixed; without any it is taken to have chosen them.
    """

    source: str
    row: str
    method: str | None = None
    params: dict[str, Any] = {}
    scores: dict[str, float] = Field(min_length=1)


class PublishedPaper(_Strict):
    """The published numbers of one triple."""

    title: str
    sources: dict[str, Citation]
    scores: list[PublishedScore] = Field(min_length=1)

    @model_validator(mode="after")
    def _sound(self) -> "PublishedPaper":
        for row in self.scores:
            if row.source not in self.sources:
                raise ValueError(f"row '{row.row}' names the source '{row.source}', which is not described")
            for name, value in row.scores.items():
                if not 0 <= value <= 100:
                    raise ValueError(f"row '{row.row}': {name} is {value}, not a number of per cent")
        return self


def list_papers() -> list[str]:
    """List the papers that `published` in a config may name."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_paper(name: str) -> PublishedPaper:
    """Read one file of published numbers. Raises UserError for an unknown name and for a faulty file."""
    path = FOLDER / f"{name}.yaml"
    if name not in list_papers():
        raise UserError(
            f"published: {FOLDER} holds no {name}.yaml (there are {', '.join(list_papers())})."
            f"{suggest(name, list_papers())}"
        )
    try:
        return PublishedPaper.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise UserError(f"{path}: {describe_first_fault(error)}.") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"cannot read {path} ({error}): restore it.") from error


def build_published_rows(study: StudyConfig, benchmarks: pd.DataFrame, axes: pd.DataFrame) -> pd.DataFrame:
    """Compare each published number with the variants that it belongs to; `variant` is "" where none does.

    Shares of 1, as everywhere. `paper_gain` and `gain` are differences to the unmodified model, the paper's
    and ours. Empty unless the study names published numbers.

    Args:
        benchmarks, axes: the tables of these names (`comparisons.benchmark_rows`, `.axis_rows`).
    """
    if study.published is None:
        return pd.DataFrame(columns=list_names(COLUMNS))
    paper = load_paper(study.published)
    ours = {
        **{(r["variant"], r["benchmark"]): r for r in benchmarks.to_dict("records")},
        **{(r["variant"], r["group"]): r for r in axes.to_dict("records")},
    }
    unmodified = {row.source: row.scores for row in paper.scores if row.method == "vlm"}
    rows = []
    for row in paper.scores:
        for name, score in row.scores.items():
            reference = None if row.method == "vlm" else unmodified.get(row.source, {}).get(name)
            gain = math.nan if reference is None else (score - reference) / 100
            variants = [v for v in match_variants(study.variants, row) if (v, name) in ours]
            for variant in variants or [""]:
                source = paper.sources[row.source]
                rows.append(
                    {"source": row.source, "row": row.row, "variant": variant, "name": name}
                    | _compare(score / 100, gain, ours.get((variant, name)))
                    | {"verified": source.verified, "note": source.averages if name in AXES else ""}
                )
    return pd.DataFrame(rows, columns=list_names(COLUMNS))


def match_variants(variants: Mapping[str, VariantConfig], row: PublishedScore) -> Iterator[str]:
    """Find the study's variants that a published row is to be compared with.

    Of a row with parameters: those of the method that fix the same. Of one without: those that choose
    parameters on dev, or every one of the method where none does.
    """
    of_method = {name: v for name, v in variants.items() if row.method is not None and v.method == row.method}
    if row.params:
        return (name for name, v in of_method.items() if row.params.items() <= v.params.items())
    swept = [name for name, v in of_method.items() if v.swept]
    return iter(swept or of_method)


def _compare(paper: float, gain: float, ours: Mapping[Hashable, Any] | None) -> dict[str, Any]:
    """Compare one published number, and its gain, with our row of the tables benchmarks or axes."""
    published: dict[str, Any] = {"paper": paper, "paper_gain": gain}
    if ours is None:
        return published | {"within": "", "gain_within": ""}
    low, high = ours["difference_low"], ours["difference_high"]
    return published | {
        "ours": ours["score"], "ours_low": ours["low"], "ours_high": ours["high"],
        "gap": ours["score"] - paper, "within": _is_within(paper, ours["low"], ours["high"]),
        "gain": ours["difference"], "gain_low": low, "gain_high": high,
        "gain_within": _is_within(gain, low, high),
    }  # fmt: skip


def _is_within(value: float, low: float, high: float) -> str:
    if any(math.isnan(number) for number in (value, low, high)):
        return ""
    return "yes" if low <= value <= high else "no"
