"""Count the questions that could not be answered, by kind: on test and dev, with pictures and in words."""

import pandas as pd

from benchmarks.study import marks
from benchmarks.tables.cells import list_names, make_columns

COLUMNS = (
    *make_columns("name", "variant", "split", "benchmark", "kind"),
    *make_columns("count", "failed", "n"),
    *make_columns("share", "share"),
)


def build_failure_rows(scores: pd.DataFrame, text: pd.DataFrame, dev: pd.DataFrame) -> pd.DataFrame:
    """Count failures per variant, split, benchmark and kind; no rows where there was none.

    Args:
        scores, text, dev: as `benchmarks.study.results` reads them. On dev a row stands for the point of the
            grid with the most failures.
    """
    rows: list[dict[str, object]] = []
    for split, frame in (("test", scores), ("text", text)):
        rules = frame["rule"].fillna("") if "rule" in frame else pd.Series("", index=frame.index)
        failed = frame.assign(rule=rules)[rules.str.startswith(marks.RULE)]
        sizes = frame.groupby(["variant", "benchmark"]).size().to_dict()
        for names, part in failed.groupby(["variant", "benchmark", "rule"], sort=False):
            variant, benchmark, rule = map(str, names)
            kind = rule.removeprefix(marks.RULE)
            rows.append(_make_row(variant, split, benchmark, kind, len(part), sizes[variant, benchmark]))
    for column in sorted(str(c) for c in dev if str(c).startswith(marks.ON_DEV)):
        for names, part in dev.groupby(["variant", "benchmark"], sort=False):
            variant, benchmark = map(str, names)
            most, n = int(part[column].fillna(0).max()), int(part["n"].iloc[0])
            if most:
                rows.append(_make_row(variant, "dev", benchmark, column.removeprefix(marks.ON_DEV), most, n))
    return pd.DataFrame(rows, columns=list_names(COLUMNS))


def _make_row(variant: str, split: str, benchmark: str, kind: str, failed: int, n: int) -> dict[str, object]:
    return {
        "variant": variant, "split": split, "benchmark": benchmark, "kind": kind.replace("_", " "),
        "failed": failed, "n": n, "share": failed / n,
    }  # fmt: skip
