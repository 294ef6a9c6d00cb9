"""Make the tables of a population: effects by triple, over triples, claims with verdicts, predictors."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.figures.forest import ALL
from benchmarks.statistics.hierarchy import TripleEffect, average_bases, estimate_over_triples
from benchmarks.statistics.intervals import make_generator
from benchmarks.statistics.random_effects import pool_bases, pool_triples
from benchmarks.statistics.sign_test import compare_signs
from benchmarks.tables import cells
from benchmarks.tables.cells import Table, list_names, make_columns, make_estimate
from benchmarks.tools.across import predictors
from benchmarks.tools.across.claims import Claims, judge
from benchmarks.tools.across.effects import Measured, Measuring

EFFECTS = (
    *make_columns("name", "variant", "against", "group", "measure", "study", "base", "cell"),
    *make_columns("count", "n"),
    *make_estimate("difference"),
)
OVERALL = (
    *make_columns("name", "variant", "against", "group", "measure", "cell"),
    *make_columns("count", "bases", "triples"),
    *make_estimate("estimate"),
    *make_estimate("questions"),
    *make_estimate("bootstrap"),
    *make_columns("share", "of_bases", "of_triples", "of_questions"),
    *make_estimate("random_effects"),
    *make_estimate("prediction"),
    *make_columns("share", "tau"),
    *make_columns("four_digits", "q"),
    *make_columns("p", "q_p"),
    *make_columns("share", "i2"),
    *make_columns("count", "bases_above"),
    *make_columns("p", "sign_p"),
    *make_columns("share", "smallest_p", "power"),
)
CLAIMS = (
    *make_columns("name", "claim", "paper", "cell"),
    *make_columns("count", "bases", "triples"),
    *make_estimate("estimate"),
    *make_columns("two_decimals", "bound"),
    *make_columns("count", "above", "below"),
    *make_columns("name", "verdict"),
)
SHOWN = ("variant", "against", "group", "measure", "cell", "bases", "triples", "estimate", "estimate_low",
         "estimate_high", "random_effects", "random_effects_low", "random_effects_high", "tau", "i2",
         "bases_above", "sign_p", "power")  # fmt: skip
LEGENDS: Mapping[str, tuple[str, str]] = {
    "effects": (
        "Effects by triple",
        """Measure `test`: score of the variant minus that of the other on the same questions, each at its
        own choice on dev. `price at s`: at the reasoning that lies s of the way from V's to the best that
        both can reach on dev, what the other loses of the group minus what the variant loses (above 0: the
        variant is cheaper); against `{reference}`, the variant's own loss. `within b`: best dev reasoning
        of the variant's sweep with perception at most b below V's (`and c`: the third axis at most c),
        minus the other's. Brackets: {level} percentile intervals over questions (bootstrap, {resamples}
        resamples), which say nothing of other triples.""",
    ),
    "overall": (
        "Effects over triples",
        """Estimate: mean over bases of the means of their triples, with a {level} interval over triples
        (Student's t over bases, the questions' shared error added by square-and-add); empty for one base.
        Random effects: Paule and Mandel's model of the bases' means with Hartung and Knapp's interval; tau:
        standard deviation between triples; I2: share of the spread between triples that is no noise of
        questions. Bases above: bases whose mean is above 0; p of their signs, two-sided; power: the chance
        of so many bases to find an effect that goes one way in nine of ten (fewer than 6 bases can find
        nothing). In the CSV also the interval over questions alone, the percentile interval of the
        hierarchical bootstrap, which is too narrow for few bases, the shares of its variance, the interval
        of one further base, Cochran's Q and its p.""",
    ),
    "claims": (
        "Claims by cell",
        """Each claim says that its number lies above the bound (docs/claims.md, fixed before the population
        was run). Holds: the whole {level} interval over triples lies above; fails: the whole below;
        undecided: neither, or fewer than {least} bases. Above, below: triples whose interval over questions
        alone lies above or below. Verdicts are not adjusted for their number ({verdicts}).""",
    ),
    "triples": (
        "What may predict the trade-off, triple by triple",
        """{candidates} Outcomes: {outcomes}""",
    ),
    "correlations": (
        "What goes with the trade-off",
        """Spearman's rho over triples with Bonett and Wright's {level} interval, as if triples were
        independent; p Holm: over all rows. Within: mean of the rhos within bases, with Student's t over
        bases. Verdict: "goes with it" only if p Holm is below {alpha} and the interval within bases
        excludes 0 on the same side. {n} triples show strong relations alone, and no cause.""",
    ),
}


def build_effect_rows(measuring: Measuring, measured: Sequence[Measured], confidence: float) -> pd.DataFrame:
    """Build a row per contrast and triple."""
    cell_of = {triple.name: triple.cell for triple in measuring.population.triples}
    rows = []
    for one in measured:
        for effect in one.effects:
            low, high = effect.interval(confidence)
            rows.append(
                {**vars(one.contrast), "study": effect.triple, "base": effect.base,
                 "cell": cell_of[effect.triple], "n": effect.n, "difference": effect.estimate,
                 "difference_low": low, "difference_high": high}
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list_names(EFFECTS))


def list_cells(
    measuring: Measuring, effects: Sequence[TripleEffect]
) -> Iterator[tuple[str, list[TripleEffect]]]:
    """Yield every cell with its effects, then all triples together."""
    cell_of = {triple.name: triple.cell for triple in measuring.population.triples}
    names = measuring.population.cells
    for cell in names if len(names) > 1 else ():
        own = [effect for effect in effects if cell_of[effect.triple] == cell]
        if own:
            yield cell, own
    if effects:
        yield ALL, list(effects)


def build_overall_rows(
    measuring: Measuring, measured: Sequence[Measured], confidence: float, seed: int = 0
) -> pd.DataFrame:
    """Build a row per contrast and cell, and one for all triples."""
    rows: list[dict[str, Any]] = []
    for one in measured:
        for cell, effects in list_cells(measuring, one.effects):
            key = " ".join(map(str, vars(one.contrast).values()))
            rng = make_generator(seed, "hierarchy", key, cell)
            overall = estimate_over_triples(effects, confidence, rng=rng)
            bases, triples = pool_bases(effects, confidence), pool_triples(effects, confidence)
            signs = compare_signs(list(average_bases(effects).values()), 1 - confidence)
            row: dict[str, Any] = {**vars(one.contrast), "cell": cell, "bases": overall.bases,
                                   "triples": overall.triples, "estimate": overall.estimate}  # fmt: skip
            for name, ends in (
                ("estimate", overall.interval), ("questions", overall.on_questions),
                ("bootstrap", overall.bootstrap), ("random_effects", bases.interval),
                ("prediction", bases.prediction),
            ):  # fmt: skip
                row |= {f"{name}_low": ends[0], f"{name}_high": ends[1]}
            row |= dict(zip(("of_bases", "of_triples", "of_questions"), overall.shares, strict=True))
            row |= dict.fromkeys(("questions", "bootstrap"), overall.estimate)
            row |= dict.fromkeys(("random_effects", "prediction"), bases.estimate)
            row |= {"tau": triples.tau2**0.5, "q": triples.q, "q_p": triples.p, "i2": triples.i2,
                    "bases_above": signs.above, "sign_p": signs.p, "smallest_p": signs.smallest_p,
                    "power": signs.power}  # fmt: skip
            rows.append(row)
    return pd.DataFrame(rows, columns=list_names(OVERALL))


def build_claim_rows(measuring: Measuring, claims: Claims, seed: int = 0) -> pd.DataFrame:
    """Judge every claim in every cell and over all triples; what no triple can speak to has no row."""
    rows = []
    for claim in claims.claims:
        for cell, effects in list_cells(measuring, measuring.measure_claim(claim)):
            rng = make_generator(seed, "claims", claim.name, cell)
            overall = estimate_over_triples(effects, claims.confidence, rng=rng)
            low, high = overall.interval
            ends = [effect.interval(claims.confidence) for effect in effects]
            rows.append(
                {"claim": claim.name, "paper": claim.paper, "cell": cell, "bases": overall.bases,
                 "triples": overall.triples, "estimate": overall.estimate, "estimate_low": low,
                 "estimate_high": high, "bound": claim.above,
                 "above": sum(one > claim.above for one, _ in ends),
                 "below": sum(other < claim.above for _, other in ends),
                 "verdict": judge(low, high, claim.above, overall.bases, claims.least_bases)}
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list_names(CLAIMS))


def write_tables(
    tables: Mapping[str, pd.DataFrame], out: Path, measuring: Measuring, claims: Claims, confidence: float
) -> None:
    """Write every table as CSV and Markdown."""
    columns = {"effects": EFFECTS, "overall": OVERALL, "claims": CLAIMS, "triples": predictors.TRIPLES,
               "correlations": predictors.COLUMNS}  # fmt: skip
    facts = {
        "reference": measuring.population.reference,
        "level": f"{confidence:.0%}",
        "alpha": f"{1 - confidence:.3g}",
        "resamples": measuring.resamples,
        "least": claims.least_bases,
        "verdicts": len(tables["claims"]),
        "n": len(measuring.population.triples),
        "candidates": _list_words(predictors.CANDIDATES),
        "outcomes": _list_words(predictors.OUTCOMES),
    }
    for name, frame in tables.items():
        title, text = LEGENDS[name]
        shown: list[Table] = []
        if name == "overall":
            shown = [Table(frame, [c for c in OVERALL if c.name in SHOWN])]
        if name == "claims":
            shown = [_lay_out_claims(frame), Table(frame, CLAIMS)]
        legend = " ".join(text.format(**facts).split())
        cells.write_table(Table(frame, columns[name]), out, name, title, legend, shown=shown)


def _list_words(words: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {meaning}" for name, meaning in words.items()) + "."


def _lay_out_claims(rows: pd.DataFrame) -> Table:
    """Lay out verdicts: a row per claim, a column per cell."""
    names = list(dict.fromkeys(rows["cell"]))
    wide = rows.pivot(index="claim", columns="cell", values="verdict")
    frame = wide.reindex(index=list(dict.fromkeys(rows["claim"])), columns=names).fillna("").reset_index()
    return Table(frame, [*make_columns("name", "claim"), *make_columns("mark", *names)])
