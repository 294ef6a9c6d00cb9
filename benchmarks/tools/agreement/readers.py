"""Compare readers with the reference: how often each judges as it does, and where one of two alone does."""

import pandas as pd

from benchmarks.scoring.agreement import measure_agreement

READERS = {"ours": "correct", "stock": "correct_raw", "math_verify": "by_math_verify"}
_FIGURES = ("n", "right", "agreement", "kappa", "kappa_low", "kappa_high")
_PAIRED = ("stock_right_ours_wrong", "ours_right_stock_wrong")
COLUMNS = [
    "source", "reference", "n", "reference_right",
    *(f"{reader}_{figure}" for reader in READERS for figure in _FIGURES if (reader, figure) != ("ours", "n")),
    *(f"{name}{ending}" for name in _PAIRED for ending in ("", "_share")),
]  # fmt: skip


def compare_readers(name: str, table: pd.DataFrame) -> list[dict[str, object]]:
    """Return a row (COLUMNS) for a source, and one for its strict reference where that differs.

    A reader is right here when it judges an output as the reference does. math-verify judges numbers and
    formulas alone, so it has an n of its own.

    Args:
        table: as `score_pictures` returns it, with references completed and `by_math_verify`.
    """
    published, strict = (table[column].astype(bool) for column in ("reference_correct", "strict"))
    rows = [_compare(name, "as published", table, published)]
    if (published != strict).any():
        rows.append(_compare(name, "strict", table, strict))
    return rows


def _compare(name: str, label: str, table: pd.DataFrame, reference: pd.Series) -> dict[str, object]:
    row: dict[str, object] = {
        "source": name, "reference": label, "n": len(table), "reference_right": float(reference.mean()),
    }  # fmt: skip
    for reader, column in READERS.items():
        # Where a reader judged nothing, neither counts.
        result = measure_agreement(table[column].astype(float), reference.astype(float))
        if reader != "ours":
            row[f"{reader}_n"] = result.n
        if result.n:
            kappa, low, high = result.kappa
            row |= {
                f"{reader}_right": (result.both_right + result.rule_only) / result.n,
                f"{reader}_agreement": result.agreement,
                f"{reader}_kappa": kappa,
                f"{reader}_kappa_low": low,
                f"{reader}_kappa_high": min(high, 1.0),
            }
    ours, stock = ((table[READERS[reader]] >= 0.5) == reference for reader in ("ours", "stock"))
    for column, alone in zip(_PAIRED, (stock & ~ours, ours & ~stock), strict=True):
        row |= {column: int(alone.sum()), f"{column}_share": float(alone.mean())}
    return row
