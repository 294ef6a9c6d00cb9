"""Measure every contrast on every triple: on test, at equal reasoning on dev, within three budgets.

A contrast is a variant against V, or a learned variant against its controls (at its norm, or with a strength
of their own) and plain injection. An effect has the draws of a bootstrap of questions, the same questions in
all triples that answered the same ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.statistics.hierarchy import TripleEffect
from benchmarks.statistics.intervals import Floats, make_generator
from benchmarks.study.results import read_table
from benchmarks.tables.pareto import resample_joint_means
from benchmarks.tools.across.claims import Claim, Difference, Price
from benchmarks.tools.across.sweeps import Sweeps, find_reasoning_within, price_sweep, read_sweeps
from benchmarks.tools.across.triples import Population, TripleStudy

TEST = "test"
SHARES = (0.5, 0.75, 0.9)
THIRD_BUDGET = 0.05  # of the third axis, where a study names one without a budget


@dataclass(frozen=True)
class Contrast:
    """Names what is compared: a variant, the other, a group of benchmarks, and the measure.

    `measure`: "test"; "price at 0.75", what the other loses more at equal reasoning on dev (above 0: the
    variant is cheaper); "within 0.02" or "within 0.02 and 0.05", best dev reasoning under the budgets.
    """

    variant: str
    against: str
    group: str
    measure: str


@dataclass(frozen=True)
class Measured:
    """Holds a contrast's effects, a triple each; triples that lack it are left out."""

    contrast: Contrast
    effects: tuple[TripleEffect, ...]


class Measuring:
    """Measures contrasts of a population, with the draws of each triple computed once."""

    def __init__(self, population: Population, *, resamples: int = 2000, seed: int = 0) -> None:
        self.population, self.resamples, self.seed = population, resamples, seed
        self._drawn: dict[tuple[str, str], pd.DataFrame] = {}
        self.sweeps: dict[str, Sweeps | None] = {
            triple.name: read_sweeps(triple, population.variants, resamples=resamples, seed=seed)
            for triple in population.triples
        }

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """List which variants are compared, from the configs alone, never from a score."""
        study, variants = self.population.settings, self.population.variants
        pairs = [(name, study.reference) for name in variants if name != study.reference]
        for learned in [name for name in variants if study.role(name) == "learned"]:
            opponents = [n for n in variants if study.variants[n].reference == learned]
            opponents += [n for n in variants if study.variants[n].method == "inject"]
            siblings = [
                n
                for n in variants
                if n != learned and study.variants[n].method == study.variants[learned].method
            ]
            pairs += [(learned, name) for name in dict.fromkeys([*opponents, *siblings])]
        return pairs

    def list_contrasts(self) -> Iterator[Contrast]:
        """Yield every contrast and measure; prices of learned variants against all that sweep beside them."""
        study, reference = self.population.settings, self.population.reference
        swept = [name for name in self.population.variants if study.variants[name].swept]
        for variant, against in self.pairs:
            for group in self.population.groups:
                yield Contrast(variant, against, group, TEST)
            if {variant, against} <= set(swept):
                for share in SHARES:
                    for group in self.priced_groups:
                        yield Contrast(variant, against, group, f"price at {share}")
                for name in self.budgets:
                    yield Contrast(variant, against, "reasoning", name)
        for name in swept:
            for share in SHARES:
                for group in self.priced_groups:
                    yield Contrast(name, reference, group, f"price at {share}")

    @property
    def priced_groups(self) -> list[str]:
        """List the groups that are on dev: perception, and a third axis."""
        third = self.population.settings.selection.third_axis
        return ["perception", *([third] if third in self.population.groups else [])]

    @property
    def budgets(self) -> dict[str, dict[str, float]]:
        """Name the budgets: the studies' own, and with the third axis' beside it."""
        rule = self.population.settings.selection
        one = {"perception": rule.perception_budget}
        named = {f"within {rule.perception_budget:g}": one}
        if rule.third_axis is not None:
            limit = THIRD_BUDGET if rule.third_budget is None else rule.third_budget
            named[f"within {rule.perception_budget:g} and {limit:g}"] = one | {rule.third_axis: limit}
        return named

    def measure(self, contrast: Contrast) -> Measured:
        """Measure a contrast on every triple that has it."""
        effects = (self._measure(triple, contrast) for triple in self.population.triples)
        return Measured(contrast, tuple(effect for effect in effects if effect is not None))

    def measure_claim(self, claim: Claim) -> list[TripleEffect]:
        """Measure a claim's number on every triple that has it."""
        measure = claim.measure
        if isinstance(measure, Difference):
            contrast = Contrast(measure.variant, measure.against, measure.group, TEST)
            return list(self.measure(contrast).effects) if self._knows(contrast) else []
        found: list[TripleEffect | None] = []
        for triple in self.population.triples:
            if isinstance(measure, Price):
                drawn = self._price(triple, measure.variant, measure.group, measure.share, measure.against)
                found.append(self._make(triple, drawn, measure.group))
            else:
                found.append(self._read_layers(triple, measure.claim, measure.variant))
        return [effect for effect in found if effect is not None]

    def _knows(self, contrast: Contrast) -> bool:
        both = {contrast.variant, contrast.against} <= set(self.population.variants)
        return both and contrast.group in self.population.groups

    def _measure(self, triple: TripleStudy, contrast: Contrast) -> TripleEffect | None:
        if contrast.measure == TEST:
            benchmarks = self.population.groups[contrast.group]
            drawn = self._draw(triple, contrast.group)
            values = [
                (
                    triple.answers.correct[b][contrast.variant] - triple.answers.correct[b][contrast.against]
                ).mean()
                for b in benchmarks
            ]
            n = sum(len(triple.answers.correct[b]) for b in benchmarks)
            draws = (drawn[contrast.variant] - drawn[contrast.against]).to_numpy()
            return TripleEffect(self._base(triple), triple.name, float(np.mean(values)), draws, n)
        if contrast.measure in self.budgets:
            both = [self._reach(triple, name, self.budgets[contrast.measure])
                    for name in (contrast.variant, contrast.against)]  # fmt: skip
            if any(one is None for one in both):
                return None
            return self._make(triple, both[0] - both[1], "reasoning")  # type: ignore[operator]
        share = float(contrast.measure.removeprefix("price at "))
        if contrast.against == self.population.reference:
            return self._make(
                triple, self._price(triple, contrast.variant, contrast.group, share, None), contrast.group
            )
        # Above 0: the variant is the cheaper one.
        drawn_price = self._price(triple, contrast.against, contrast.group, share, contrast.variant)
        return self._make(triple, drawn_price, contrast.group)

    def _price(
        self, triple: TripleStudy, variant: str, group: str, share: float, against: str | None
    ) -> Floats | None:
        """Price a variant's loss at equal reasoning, minus another's where one is named."""
        sweeps = self.sweeps[triple.name]
        if sweeps is None:
            return None
        own = price_sweep(sweeps, variant, group, share, against)
        if own is None or against is None:
            return own
        other = price_sweep(sweeps, against, group, share, variant)
        return None if other is None else own - other

    def _reach(self, triple: TripleStudy, variant: str, budgets: dict[str, float]) -> Floats | None:
        sweeps = self.sweeps[triple.name]
        return None if sweeps is None else find_reasoning_within(sweeps, variant, budgets)

    def _make(self, triple: TripleStudy, values: Floats | None, group: str) -> TripleEffect | None:
        """Make an effect of an observed value and its draws, (1 + resamples,)."""
        sweeps = self.sweeps[triple.name]
        if values is None or sweeps is None:
            return None
        return TripleEffect(self._base(triple), triple.name, float(values[0]), values[1:], sweeps.n[group])

    def _draw(self, triple: TripleStudy, group: str) -> pd.DataFrame:
        key = (triple.name, group)
        if key not in self._drawn:
            names = list(self.population.variants)
            drawn = resample_joint_means(
                triple.answers, names, self.population.groups[group], resamples=self.resamples, seed=self.seed
            )
            self._drawn[key] = pd.DataFrame(drawn, columns=names)
        return self._drawn[key]

    def _base(self, triple: TripleStudy) -> str:
        return self.population.bases[triple.digests["base"]]

    def _read_layers(self, triple: TripleStudy, claim: str, variant: str) -> TripleEffect | None:
        """Read a number of the study's claims on layers, mean over its knock-outs (modules, replacements).

        They ask the same questions, so their errors are taken to be alike in all: the mean of their widths.
        """
        path = triple.folder / "tables" / "claims.csv"
        if not path.is_file():
            return None
        rows = read_table(path)
        rows = rows[(rows["claim"] == claim) & (rows["variant"] == variant)].dropna(
            subset=["estimate", "low", "high"]
        )
        if rows.empty:
            return None
        estimate, width = float(rows["estimate"].mean()), float((rows["high"] - rows["low"]).mean())
        spread = make_generator(self.seed, "layers", triple.name).normal(size=self.resamples)
        return TripleEffect(self._base(triple), triple.name, estimate, estimate + width / 3.92 * spread, 100)


def select_triples(effects: Sequence[TripleEffect], names: Sequence[str]) -> list[TripleEffect]:
    """Select the effects of some triples."""
    return [effect for effect in effects if effect.triple in names]
