"""The study in words, from its tables alone: what it shows and what it does not.

    python -m benchmarks.summary --results results/miniature --config JSON --out results/miniature/summary.md

Rules: a difference is called a gain or a loss only if its interval excludes 0 and its p, adjusted by Holm
over all tests of its table, is below 1 - confidence; otherwise it is "not shown", with the difference the
study could have seen. Perception is called kept only if the interval's lower end lies above minus the
budget. No number in the text is written by hand.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jinja2
import pandas as pd
import typer

from benchmarks.study import Study, read_table, words
from benchmarks.tables import interval, probability
from frism.errors import reported
from frism.files import atomic_write

TEMPLATE = Path(__file__).with_name("summary.md.jinja")
STYLE_SHARE = 0.05  # failures of form rarer than this share are not worth a sentence


@dataclass(frozen=True)
class Finding:
    """One tested difference: who, against whom, in which group, and what may be said of it."""

    variant: str
    against: str
    group: str
    n: int
    difference: float
    low: float
    high: float
    p_holm: float
    detectable: float
    alpha: float
    budget: float

    @property
    def verdict(self) -> str:
        """`gain`, `loss` or `not shown`."""
        if self.p_holm < self.alpha and self.low > 0:
            return "gain"
        if self.p_holm < self.alpha and self.high < 0:
            return "loss"
        return "not shown"

    @property
    def kept(self) -> bool:
        """Non-inferiority: whatever was lost is, with confidence, less than the budget."""
        return self.low > -self.budget

    @property
    def number(self) -> str:
        """`+0.120 [+0.080, +0.160]`."""
        return interval(self.difference, self.low, self.high, signed=True)

    @property
    def words(self) -> str:
        """The number with all that belongs to it."""
        p = probability(self.p_holm)
        return f"{self.number} (n = {self.n}, Holm p {p if p.startswith('<') else '= ' + p})"


@dataclass(frozen=True)
class Duel:
    """A learned variant against one opponent, a finding per group."""

    against: str
    kind: str
    findings: dict[str, Finding]

    def groups(self, verdict: str) -> list[str]:
        """The groups with this verdict."""
        return [g for g, f in self.findings.items() if f.verdict == verdict]


def context(study: Study, tables: Path) -> dict[str, Any]:
    """Everything that the template says, from the CSV tables of a study."""
    axes, contrasts = read_table(tables / "axes.csv"), read_table(tables / "contrasts.csv")
    selection, style = read_table(tables / "selection.csv"), read_table(tables / "style.csv")
    findings: dict[str, dict[str, Finding]] = {}
    scores: dict[str, dict[str, str]] = {}
    for row in axes.to_dict("records"):
        score = f"{interval(row['score'], row['low'], row['high'])} (n = {row['n']})"
        scores.setdefault(row["variant"], {})[row["group"]] = score
        if not math.isnan(row["difference"]):
            findings.setdefault(row["variant"], {})[row["group"]] = _finding(study, row, study.reference)
    groups = list(dict.fromkeys(axes["group"]))
    chosen = selection[selection["chosen"] == "yes"].set_index("variant")
    missed = [v for v in chosen.index if str(chosen.loc[v, "rule"]).startswith("budget missed")]
    return {
        "study": study,
        "level": f"{study.statistics.confidence:.0%}",
        "alpha": f"{1 - study.statistics.confidence:.3g}",
        "budget": f"{study.selection.perception_budget:g}",
        "reference": study.reference,
        "groups": groups,
        "sizes": {g: (int(r["benchmarks"]), int(r["n"])) for g, r in _first(axes, study.reference).items()},
        "other_groups": [g for g in groups if g not in ("perception", "reasoning", "unasked", "text")],
        "scores": scores,
        "findings": findings,
        "chosen": {v: _parameters(study, chosen, v) for v in study.variants},
        "missed": [v for v in missed if study.variants[v].grid],
        "missed_alone": [v for v in missed if not study.variants[v].grid],
        "dev_n": sorted({(int(r.perception_n), int(r.reasoning_n)) for r in selection.itertuples()}),
        "grid_points": len(selection),
        "duels": _duels(study, contrasts),
        "tests": {"axes": int(axes["p"].notna().sum()), "contrasts": int(contrasts["p"].notna().sum())},
        "style_share": f"{STYLE_SHARE:.0%}",
        "style": _style(style),
        "gaps": _gaps(style),
        "miniature": study.calibration.get("source") == "miniature",
    }


def render(study: Study, tables: Path) -> str:
    """The summary as Markdown."""
    environment = jinja2.Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    environment.filters["names"] = _names
    environment.filters["listed"] = _listed
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(context(study, tables))


def _finding(study: Study, row: dict[Any, Any], against: str) -> Finding:
    return Finding(
        variant=row["variant"],
        against=against,
        group=row["group"],
        n=int(row["n"]),
        difference=row["difference"],
        low=row["difference_low"],
        high=row["difference_high"],
        p_holm=row["p_holm"],
        detectable=row["detectable"],
        alpha=1 - study.statistics.confidence,
        budget=study.selection.perception_budget,
    )


def _first(axes: pd.DataFrame, variant: str) -> dict[str, dict[str, Any]]:
    return {r["group"]: r for r in axes[axes["variant"] == variant].to_dict("records")}


def _parameters(study: Study, chosen: pd.DataFrame, variant: str) -> str:
    """What the config names: fixed parameters, and the chosen values of the swept ones."""
    settings = study.variants[variant]
    point = json.loads(str(chosen.loc[variant, "params"])) if variant in chosen.index else {}
    return words(settings.params | {k: v for k, v in point.items() if k in settings.grid})


def _duels(study: Study, contrasts: pd.DataFrame) -> dict[str, list[Duel]]:
    duels: dict[str, dict[str, Duel]] = {v: {} for v in study.learned}
    for row in contrasts.to_dict("records"):
        duel = duels[row["variant"]].setdefault(row["against"], Duel(row["against"], row["kind"], {}))
        duel.findings[row["group"]] = _finding(study, row, row["against"])
    return {variant: list(found.values()) for variant, found in duels.items()}


def _style(style: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows with a failure of form in STYLE_SHARE of the answers or more."""
    kept = []
    for row in style.to_dict("records"):
        failures = {
            "nothing extracted": row["not_extracted"],
            "cut at the token limit": row["truncated"],
            "repetition": row["repeated"],
        }
        noted = [f"{what} {share:.1%}" for what, share in failures.items() if share >= STYLE_SHARE]
        if noted:
            kept.append({"variant": row["variant"], "group": row["group"], "n": row["n"], "noted": noted})
    return kept


def _gaps(style: pd.DataFrame) -> list[dict[str, str]]:
    """Per group the smallest and the largest difference of the raw text's score to the extracted one."""
    gaps = []
    for group, rows in style.assign(gap=style["score_raw"] - style["score"]).groupby("group", sort=False):
        least, most = rows.loc[rows["gap"].idxmax()], rows.loc[rows["gap"].idxmin()]
        gaps.append(
            {
                "group": str(group),
                "least": f"{least['gap']:+.3f}",
                "least_variant": least["variant"],
                "most": f"{most['gap']:+.3f}",
                "most_variant": most["variant"],
            }
        )
    return gaps


def _names(variants: list[str]) -> str:
    return _listed([f"`{v}`" for v in variants])


def _listed(parts: list[str]) -> str:
    """`a, b and c`; `none` for an empty list."""
    if not parts:
        return "none"
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


@reported()
def main(
    results: Annotated[Path, typer.Option(help="the study's folder, with tables/")],
    config: Annotated[str, typer.Option(help="the study's settings as JSON")],
    out: Annotated[Path | None, typer.Option(help="default: RESULTS/summary.md")] = None,
) -> None:
    """Write the summary of a study."""
    text = render(Study.parse(config), results / "tables")
    with atomic_write(out or results / "summary.md") as path:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
