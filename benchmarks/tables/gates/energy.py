"""Tabulate how much energy each layer received, beside the energy of tau_R itself."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.study.config import StudyConfig
from benchmarks.study.results import read_table
from benchmarks.tables.cells import list_names, make_columns
from benchmarks.tables.gates.open_fractions import locate_matrix
from benchmarks.tables.gates.open_gates import ALL
from frism.errors import UserError
from frism.triples.scopes import in_scope

COLUMNS = (
    *make_columns("name", "variant", "layer"),
    *make_columns("count", "matrices"),
    *make_columns("four_digits", "injected_energy", "tau_r_energy"),
    *make_columns("share", "ratio", "share_of_injected"),
)


def build_energy_rows(
    results: Path, study: StudyConfig, variants: Iterable[str], whole: dict[str, float]
) -> pd.DataFrame:
    """Build a row per variant and layer, and one over all layers.

    The injected energy is the squared Frobenius norm of merged minus V, strength included, as tuning measured
    it (variants/VARIANT/norms.csv). `ratio`: over tau_R's in the same matrices.

    Args:
        variants: those with gates, and their controls.
        whole: squared Frobenius norm of tau_R by tensor name.
    """
    rows = []
    for variant in variants:
        scope = study.variants[variant].scope or study.scope
        merged = [name for name in whole if in_scope(name, scope)]
        norms = _read_norms(results / "variants" / variant / "norms.csv", merged)
        layers = pd.Series([str(locate_matrix(n)[0]) for n in norms.index], index=norms.index)
        order = [ALL, *sorted(layers.unique(), key=int)]
        total = float((norms**2).sum())
        for layer in order:
            part = norms[layers == layer] if layer != ALL else norms
            injected, task = float((part**2).sum()), sum(whole[name] for name in part.index)
            rows.append(
                {
                    "variant": variant,
                    "layer": layer,
                    "matrices": len(part),
                    "injected_energy": injected,
                    "tau_r_energy": task,
                    "ratio": injected / task if task else np.nan,
                    "share_of_injected": injected / total if total else np.nan,
                }
            )
    return pd.DataFrame(rows, columns=list_names(COLUMNS))


def add_energy(study: StudyConfig, gated: Iterable[str]) -> list[str]:
    """List the variants with gates of their own and the controls made from them, in the study's order."""
    with_gates = set(gated)
    return [v for v, s in study.variants.items() if v in with_gates or s.reference in with_gates]


def _read_norms(path: Path, names: list[str]) -> pd.Series:
    """Read the injected norms of matrices, by tensor name."""
    frame = read_table(path)
    if not {"tensor", "injected_norm"} <= set(frame.columns):
        raise UserError(f"{path} lacks the columns tensor and injected_norm: delete it and run tuning again.")
    norms = frame.set_index("tensor")["injected_norm"].astype(float)
    missing = sorted(set(names) - set(norms.index))
    if missing:
        raise UserError(f"{path} lacks the tensor {missing[0]}: delete it and run tuning again.")
    return norms[names]
