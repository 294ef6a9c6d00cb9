"""Draw a forest plot per learned variant and opponent."""

from pathlib import Path

import pandas as pd

from benchmarks.figures import forest
from benchmarks.tools.across.effects import TEST, Measuring


def draw_forests(measuring: Measuring, effects: pd.DataFrame, overall: pd.DataFrame, out: Path) -> list[str]:
    """Draw forest_LEARNED (against plain injection) and forest_LEARNED_OPPONENT; return their names."""
    population, names = measuring.population, []
    groups = [g for g in population.groups if g in (*measuring.priced_groups, "reasoning")]
    groups.sort(key=lambda group: group != "reasoning")  # what is gained, then what it costs
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
