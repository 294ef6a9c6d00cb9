"""Say whether the population's weights are those of the committed results.

Models that are trained again on another processor may differ in their last bits, and after thousands of
steps in more. A study of such models is as good as any, but its numbers are not the committed ones.
"""

from pathlib import Path

import pandas as pd

from benchmarks.tools.across.triples import Population

CARD = Path("results/reference/population_models/models.csv")


def describe_weights(population: Population, card: Path = CARD) -> str:
    """Say how many models of the studies are among those of a card; "" for studies of other models.

    The card's column `digest` has the content of every model that the committed results come from.
    """
    if not card.is_file():
        return ""
    known = set(pd.read_csv(card, dtype=str)["digest"])
    used = {digest for triple in population.triples for digest in triple.digests.values()}
    other = len(used - known)
    if other == len(used):
        return ""
    if not other:
        return f"All {len(used)} models have the bytes of the committed results."
    return (
        f"{other} of {len(used)} models have other bytes than those of the committed results (trained again,"
        " on another processor or by another version): numbers may differ by more than rounding."
    )
