"""Draw what every method gains and costs by cell, and a forest plot per learned variant and opponent."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.figures import by_cell, forest
from benchmarks.figures.style import choose_marks
from benchmarks.tools.across.effects import TEST, Measuring


def draw_methods(measuring: Measuring, effects: pd.DataFrame, overall: pd.DataFrame, out: Path) -> Figure:
    """Draw methods_by_cell: learned variants and all that have a sweep of their own, against V on test."""
    population = measuring.population
    study, reference = population.settings, population.reference
    shown = [
        name
        for name in population.variants
        if name != reference and (study.role(name) == "learned" or study.variants[name].swept)
    ]
    marks = choose_marks(study)
    own, whole = (
        frame[(frame["against"] == reference) & (frame["measure"] == TEST)] for frame in (effects, overall)
    )
    return by_cell.draw(
        own[own["variant"].isin(shown)],
        whole,
        list_panels(measuring),
        {name: marks[name] for name in shown},
        out,
        "methods_by_cell",
        f"difference to {reference} on test, each at its own choice on dev",
    )


def list_panels(measuring: Measuring) -> list[str]:
    """List the groups that figures show: reasoning first, which is gained, then what it costs."""
    groups = [g for g in measuring.population.groups if g in (*measuring.priced_groups, "reasoning")]
    return sorted(groups, key=lambda group: group != "reasoning")


def draw_forests(measuring: Measuring, effects: pd.DataFrame, overall: pd.DataFrame, out: Path) -> list[str]:
    """Draw forest_LEARNED (against plain injection) and forest_LEARNED_OPPONENT; return their names."""
    population, names = measuring.population, []
    groups = list_panels(measuring)
    for learned in [v for v in population.variants if population.settings.role(v) == "learned"]:
        opponents = [against for variant, against in measuring.pairs if variant == learned]
        for against in opponents:
            plain = population.settings.variants[against].method == "inject"
            name = f"forest_{learned}" if plain else f"forest_{learned}_{against}"
            own, whole = (
                frame[
                    (frame["variant"] == learned) & (frame["against"] == against) & (frame["measure"] == TEST)
                ]
                for frame in (effects, overall)
            )
            forest.draw(
                own.assign(panel=own["group"]),
                whole.assign(panel=whole["group"]),
                groups,
                out,
                name,
                f"{learned} minus {against}",
            )
            names.append(name)
    return names
