"""Say in words what studies of several triples show together, from the tables alone."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from benchmarks.figures.forest import ALL
from benchmarks.statistics.sign_test import count_needed
from benchmarks.tables.cells import format_interval
from benchmarks.tools.across.claims import FAILS, HOLDS, UNDECIDED, Claims
from benchmarks.tools.across.effects import TEST, Measuring
from benchmarks.tools.across.triples import Population
from benchmarks.tools.across.weights import describe_weights

TEMPLATE = Path(__file__).with_name("summary.md.jinja")


def write_summary(
    measuring: Measuring, tables: Mapping[str, pd.DataFrame], claims: Claims, confidence: float
) -> str:
    """Write the summary as Markdown."""
    population = measuring.population
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    learned = [v for v in population.variants if population.settings.role(v) == "learned"]
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        level=f"{confidence:.0%}",
        reference=population.reference,
        triples=len(population.triples),
        bases=len(population.bases),
        cells=_describe_cells(population),
        groups={g: _count_questions(population, g) for g in population.groups},
        left_out=population.left_out,
        unpaired=[
            t.name for t in population.triples if (s := measuring.sweeps[t.name]) is None or not s.paired
        ],
        weights=describe_weights(population),
        headline=[
            line for variant in learned for line in _describe_variant(tables["overall"], variant, population)
        ],
        contrasts=[
            row
            for variant in learned
            for row in _list_contrasts(tables["overall"], variant, population.reference)
        ],
        claims=[_describe_claim(claim, tables["claims"]) for claim in claims.claims],
        absent=[c.name for c in claims.claims if c.name not in set(tables["claims"]["claim"])],
        counts={v: int((tables["claims"]["verdict"] == v).sum()) for v in (HOLDS, FAILS, UNDECIDED)},
        least=claims.least_bases,
        needed=count_needed(1 - confidence),
        correlated=_describe_correlations(tables["correlations"]),
        figures=learned,
    )


def _describe_cells(population: Population) -> list[str]:
    return [
        f"{cell}: {', '.join(t.name for t in population.triples if t.cell == cell)}"
        for cell in population.cells
    ]


def _count_questions(population: Population, group: str) -> str:
    sizes = sorted(
        {sum(len(t.answers.correct[b]) for b in population.groups[group]) for t in population.triples}
    )
    return " to ".join(map(str, dict.fromkeys([sizes[0], sizes[-1]])))


def _find(overall: pd.DataFrame, **where: str) -> dict[Any, Any] | None:
    rows = overall
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows.to_dict("records")[0] if len(rows) else None


def _format(row: Mapping[Any, Any]) -> str:
    if math.isnan(row["estimate_low"]):
        return f"{row['estimate']:+.3f} (one base: no interval over triples)"
    return format_interval(row["estimate"], row["estimate_low"], row["estimate_high"], signed=True)


def _describe_variant(overall: pd.DataFrame, variant: str, population: Population) -> list[str]:
    """Say what a variant gains and costs against V on every group, over all triples."""
    parts = [
        f"{_format(row)} in {group}"
        for group in sorted(population.groups, key=lambda group: group != "reasoning")
        if (
            row := _find(
                overall, variant=variant, against=population.reference, group=group, measure=TEST, cell=ALL
            )
        )
    ]
    return [f"`{variant}` against `{population.reference}`: {'; '.join(parts)}"] if parts else []


def _list_contrasts(overall: pd.DataFrame, variant: str, reference: str) -> list[dict[str, str]]:
    """List what a learned variant does better or worse than its opponents, by measure, over all triples."""
    rows = overall[(overall["variant"] == variant) & (overall["cell"] == ALL)]
    # A price against V is what the variant itself loses: no contest.
    rows = rows[(rows["measure"] == TEST) | (rows["against"] != reference)]
    listed = []
    for row in rows.to_dict("records"):
        low, high = row["estimate_low"], row["estimate_high"]
        verdict = "better" if low > 0 else "worse" if high < 0 else "not shown"
        listed.append(
            {"against": row["against"], "group": row["group"], "measure": row["measure"],
             "number": _format(row), "verdict": verdict, "bases": f"{row['bases_above']} of {row['bases']}",
             "i2": "" if math.isnan(row["i2"]) else f"{row['i2']:.2f}"}
        )  # fmt: skip
    return listed


def _describe_claim(claim: Any, rows: pd.DataFrame) -> dict[str, Any]:
    own = rows[rows["claim"] == claim.name]
    whole = own[own["cell"] == ALL].to_dict("records")
    cells = own[own["cell"] != ALL]
    return {
        "name": claim.name,
        "paper": claim.paper,
        "says": claim.says.strip(),
        "whole": whole[0]["verdict"] if whole else "",
        "number": _format(whole[0]) if whole else "",
        "bound": f"{claim.above:g}",
        "cells": "; ".join(
            f"{verdict} in {', '.join(cells[cells['verdict'] == verdict]['cell'])}"
            for verdict in (HOLDS, FAILS, UNDECIDED)
            if (cells["verdict"] == verdict).any()
        ),
        "above": f"{int(whole[0]['above'])} of {int(whole[0]['triples'])}" if whole else "",
        "below": f"{int(whole[0]['below'])}" if whole else "",
    }


def _describe_correlations(rows: pd.DataFrame) -> list[str]:
    return [
        f"{row['candidate']} with {row['outcome']}: rho {row['rho']:+.2f} [{row['rho_low']:+.2f},"
        f" {row['rho_high']:+.2f}], within bases {row['within']:+.2f}"
        for row in rows[rows["verdict"] != "not shown"].to_dict("records")
    ]
