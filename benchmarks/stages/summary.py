"""Write the study in words, from its tables and choices alone: what it shows and what it does not.

    python -m benchmarks.stages.summary --study results/miniature/study.json

Rules: a difference is called a gain or a loss only if its interval excludes 0 and its p, adjusted by Holm
over all tests of its table, is below 1 - confidence; otherwise it is "not shown", with the difference the
study could have seen. Perception is called kept only if a one-sided test, adjusted by Holm over the
variants, shows the loss to be smaller than the margin. No number in the text is written by hand.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jinja2
import pandas as pd
import typer

from benchmarks.analyses.reporting.drift_losses import describe_drift
from benchmarks.analyses.reporting.reflection import describe_reflection
from benchmarks.analyses.reporting.sentences import describe_claims
from benchmarks.analyses.reporting.tiles import describe_tiles
from benchmarks.registry.lookup import find
from benchmarks.stages.command import StudyFile, begin
from benchmarks.study.config import StudyConfig
from benchmarks.study.results import format_params, read_choice, read_table
from benchmarks.tables.cells import format_interval
from benchmarks.tables.findings import Finding, list_budgets, list_duels, read_finding
from benchmarks.tables.gates.sentences import explain_gates
from benchmarks.tables.kinds import describe_kind
from benchmarks.tables.official import POOLED
from benchmarks.tables.pareto import ALL_VARIANTS
from frism.errors import report_errors
from frism.files import atomic_write, read_json
from frism.markdown import escape_html

TEMPLATE = Path(__file__).with_name("summary.md.jinja")
STYLE_SHARE = 0.05  # failures of form rarer than this share are not worth a sentence


def find_missed(study: StudyConfig, results: Path) -> list[str]:
    """List the variants whose point was chosen although no point of their grid kept within the budget."""
    return [v for v in study.variants if read_choice(results, v).get("budget_missed")]


def collect_context(study: StudyConfig, tables: Path, missed: Sequence[str]) -> dict[str, Any]:
    """Collect everything that the template says, from the CSV tables of a study and the budgets missed."""
    axes, contrasts = read_table(tables / "axes.csv"), read_table(tables / "contrasts.csv")
    selection, style = read_table(tables / "selection.csv"), read_table(tables / "style.csv")
    pareto = read_table(tables / "pareto.csv").set_index("variant")
    findings: dict[str, dict[str, Finding]] = {}
    scores: dict[str, dict[str, str]] = {}
    for row in axes.to_dict("records"):
        score = f"{format_interval(row['score'], row['low'], row['high'])} (n = {row['n']})"
        scores.setdefault(row["variant"], {})[row["group"]] = score
        if not math.isnan(row["difference"]):
            findings.setdefault(row["variant"], {})[row["group"]] = read_finding(study, row, study.reference)
    groups = list(dict.fromkeys(axes["group"]))
    chosen = selection[selection["chosen"] == "yes"].set_index("variant")
    return {
        "study": study,
        "level": f"{study.statistics.confidence:.0%}",
        "alpha": f"{1 - study.statistics.confidence:.3g}",
        "budget": f"{study.selection.perception_budget:g}",
        "margin": f"{study.selection.tolerated:g}",
        "reference": study.reference,
        "headline": _write_headline(study, findings),
        "third": study.selection.third_axis,
        "third_budget": study.selection.third_budget,
        "cell": _describe_cell(tables / "cell.csv"),
        "groups": groups,
        "sizes": {
            g: (int(r["benchmarks"]), int(r["n"])) for g, r in _index_by_group(axes, study.reference).items()
        },
        "other_groups": [g for g in groups if g not in ("perception", "reasoning", "unasked", "text")],
        "scores": scores,
        "findings": findings,
        "chosen": {v: _format_parameters(study, chosen, v) for v in study.variants},
        "missed": [v for v in missed if study.variants[v].swept],
        "missed_alone": [v for v in missed if not study.variants[v].swept],
        "dev_n": sorted(
            set(map(tuple, selection[["perception_n", "reasoning_n"]].astype(int).to_numpy().tolist()))
        ),
        "grid_points": len(selection),
        "duels": list_duels(study, contrasts),
        "tests": {"axes": int(axes["p"].notna().sum()), "contrasts": int(contrasts["p"].notna().sum())},
        "style_share": f"{STYLE_SHARE:.0%}",
        "style": _list_failures(style),
        "gaps": _measure_gaps(style),
        "failures": _list_unanswerable(tables / "failures.csv"),
        "text_about": _describe_text(study),
        "budgets": list_budgets(study, pareto),
        "front": [
            f"`{v}` ({share:.3f})"
            for v, share in pareto.loc[pareto["front"] == "yes", "front_share"]
            .sort_values(ascending=False)
            .items()
        ],
        "volume": _format_volume(pareto),
        "tied": _list_tied(read_table(tables / "tied.csv")),
        "oracles": read_table(tables / "oracle.csv").to_dict("records"),
        "judges": _list_kappas(read_table(tables / "judges.csv")),
        "tokens": _list_tokens(study, read_table(tables / "costs.csv")),
        "token_fronts": _list_token_fronts(read_table(tables / "tokens.csv")),
        "sampling": study.engine.sampling,
        "samples": _list_samples(tables / "samples.csv"),
        "noise": [
            read_json(path)
            for path in sorted((tables.parent / "noise").glob("*.json"))
            if not path.name.endswith(".provenance.json")
        ],
        "explained": explain_gates(study, tables),
        "reflection": _describe_reflection(tables / "reflection.csv") if study.analyses else [],
        "claims": describe_claims(tables / "claims.csv") if study.analyses else [],
        "tiles": _describe_tiles(tables) if study.analyses else [],
        "drift": _describe_drift(tables / "drift_losses.csv") if study.analyses else [],
        "miniature": study.calibration is not None and study.calibration.source == "miniature",
    }


def render(study: StudyConfig, tables: Path, missed: Sequence[str]) -> str:
    """Write the summary as Markdown; `missed` as `find_missed` gives it."""
    environment = jinja2.Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        finalize=lambda value: escape_html(value) if isinstance(value, str) else value,
    )
    environment.filters["names"] = _quote_names
    environment.filters["listed"] = _join_words
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        collect_context(study, tables, missed)
    )


def _index_by_group(axes: pd.DataFrame, variant: str) -> dict[str, dict[str, Any]]:
    rows = axes[axes["variant"] == variant].to_dict("records")
    return {str(row["group"]): {str(column): value for column, value in row.items()} for row in rows}


def _write_headline(study: StudyConfig, findings: dict[str, dict[str, Finding]]) -> list[str]:
    """Say what learned variants and plain injection gain and cost on all three axes, if there are three.

    A study that names no third axis has no such sentence.
    """
    third = study.selection.third_axis
    if third is None:
        return []
    plain = [name for name, variant in study.variants.items() if variant.method == "inject"]
    sentences = []
    for variant in [*study.learned, *plain]:
        own = findings.get(variant, {})
        parts = [f"{own[g].number} in {g}" for g in ("reasoning", "perception", third) if g in own]
        if parts:
            sentences.append(f"`{variant}` has {_join_words(parts)}")
    return sentences


def _describe_cell(path: Path) -> list[str]:
    """Say which kind of triple this is; often there is no table."""
    if not path.exists():
        return []
    words = {
        "yes": "more than a few questions",
        "no": "next to nothing",
        "unclear": "it is not clear how much",
    }
    rows = read_table(path)
    told = [
        f"{row['question']}, {row['group']} (n = {int(row['n'])}): {row['whole']:.3f} against"
        f" {row['without']:.3f}, a difference of"
        f" {format_interval(row['difference'], row['difference_low'], row['difference_high'], signed=True)}:"
        f" {words[row['verdict']] if row['difference_high'] >= 0 else 'nothing, it is better so'}"
        for row in rows.to_dict("records")
    ]
    kind = describe_kind(rows)
    return [*told, kind] if kind else told


def _format_parameters(study: StudyConfig, chosen: pd.DataFrame, variant: str) -> str:
    """Format what the config names: fixed parameters, and the chosen values of the swept ones."""
    settings = study.variants[variant]
    point = json.loads(str(chosen.loc[variant, "params"])) if variant in chosen.index else {}
    return format_params(settings.params | {k: v for k, v in point.items() if k in settings.swept})


def _format_volume(pareto: pd.DataFrame) -> str:
    if ALL_VARIANTS not in pareto.index:
        return ""
    columns = ["hypervolume", "hypervolume_low", "hypervolume_high"]
    value, low, high = pareto.loc[[ALL_VARIANTS], columns].to_numpy(float)[0]
    return format_interval(float(value), float(low), float(high))


def _list_tied(tied: pd.DataFrame) -> dict[str, list[str]]:
    """List per group the variants that no test tells from the best, best first."""
    best = tied[(tied["over"] == "group") & (tied["tied_with_best"] == "yes")]
    return {str(name): rows["variant"].tolist() for name, rows in best.groupby("name", sort=False)}


def _list_kappas(judges: pd.DataFrame) -> list[str]:
    """List kappa per benchmark over all variants, where it says something."""
    judges = judges[judges["kappa"].notna()]
    return [
        f"{row.benchmark} {row.kappa:.3f} (n = {row.n})"
        for row in judges[judges["variant"] == POOLED].itertuples()
    ]


def _list_tokens(study: StudyConfig, costs: pd.DataFrame) -> list[str]:
    """List generated tokens per answer: the reference's, then the others', most first."""
    tokens = costs.set_index("variant")["tokens_per_answer"].dropna()
    order = tokens.drop(study.reference, errors="ignore").sort_values(ascending=False, kind="stable")
    return [f"`{v}` {tokens[v]:.1f}" for v in [*tokens.index.intersection([study.reference]), *order.index]]


def _list_token_fronts(tokens: pd.DataFrame) -> dict[str, list[str]]:
    """List per group the variants that no other beats with fewer tokens, from the fewest tokens on."""
    front = tokens[tokens["front"] == "yes"].sort_values(["tokens", "score"], kind="stable")
    return {
        group: [f"`{r.variant}` ({r.score:.3f} at {r.tokens:.1f})" for r in rows.itertuples()]
        for group, rows in ((g, front[front["group"] == g]) for g in tokens["group"].unique())
    }


def _list_samples(path: Path) -> dict[str, list[str]]:
    """List per group what each variant's samples show together; often there is no table."""
    if not path.exists():
        return {}
    rows = read_table(path)
    last = rows[(rows["over"] == "group") & (rows["k"] == rows["samples"])]
    return {
        str(group): [
            f"`{r['variant']}` {format_interval(r['score'], r['low'], r['high'])},"
            f" {format_interval(r['pass_at_k'], r['pass_at_k_low'], r['pass_at_k_high'])},"
            f" {format_interval(r['majority_at_k'], r['majority_at_k_low'], r['majority_at_k_high'])}"
            for r in own.to_dict("records")
        ]
        for group, own in last.groupby("name", sort=False)
    }


def _list_failures(style: pd.DataFrame) -> list[dict[str, Any]]:
    """List rows with a failure of form in STYLE_SHARE of the answers or more."""
    failing = []
    for row in style.to_dict("records"):
        failures = {
            "nothing extracted": row["not_extracted"],
            "cut at the token limit": row["truncated"],
            "repetition": row["repeated"],
        }
        noted = [f"{what} {share:.1%}" for what, share in failures.items() if share >= STYLE_SHARE]
        if noted:
            failing.append({"variant": row["variant"], "group": row["group"], "n": row["n"], "noted": noted})
    return failing


def _list_unanswerable(path: Path) -> list[str]:
    """List which questions could not be answered, by variant, benchmark and kind; often there is no table."""
    rows = read_table(path).to_dict("records") if path.exists() else []
    return [
        f"`{row['variant']}`, {row['benchmark']}{' on dev' if row['split'] == 'dev' else ''}: {row['kind']}"
        f" {row['failed']} of {row['n']}"
        for row in rows
    ]


def _describe_reflection(path: Path) -> list[str]:
    """Say how variants think aloud; often there is no table."""
    return describe_reflection(read_table(path)) if path.exists() else []


def _describe_tiles(tables: Path) -> list[str]:
    """Say on which tiles answers depend; only the miniature world knows."""
    paths = tables / "tiles.csv", tables / "attention_use.csv"
    return describe_tiles(*map(read_table, paths)) if all(path.exists() for path in paths) else []


def _describe_drift(path: Path) -> list[str]:
    """Say how far merges move picture tokens, beside what they lose of perception."""
    return describe_drift(read_table(path)) if path.exists() else []


def _describe_text(study: StudyConfig) -> str:
    """Name what is asked without pictures: the miniature's scenes in words, and lm-eval's tasks."""
    asked = [find(entry) for entry in study.text]
    described = ["described scenes"] if any(d.kind != "lm_eval" for d in asked) else []
    return _join_words([*described, *(d.name for d in asked if d.kind == "lm_eval")])


def _measure_gaps(style: pd.DataFrame) -> list[dict[str, str]]:
    """Return per group the smallest and largest difference of the raw text's score to the extracted one."""
    gaps = []
    for group, rows in style.assign(gap=style["score_raw"] - style["score"]).groupby("group", sort=False):
        gap = rows["gap"].to_numpy()
        least, most = rows.iloc[int(gap.argmax())], rows.iloc[int(gap.argmin())]
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


def _quote_names(variants: list[str]) -> str:
    return _join_words([f"`{v}`" for v in variants])


def _join_words(parts: list[str]) -> str:
    """Join as `a, b and c`; `none` for an empty list."""
    if not parts:
        return "none"
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


@report_errors()
def main(
    study: StudyFile,
    out: Annotated[Path | None, typer.Option(help="default: summary.md beside the record")] = None,
) -> None:
    """Write the summary of a study."""
    begin("summary")
    config = StudyConfig.read(study)
    text = render(config, study.parent / "tables", find_missed(config, study.parent))
    with atomic_write(out or study.parent / "summary.md") as path:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
