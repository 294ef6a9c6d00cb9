"""Tabulate how much answers depend on tiles that matter and on others, and whether attention tells which."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from benchmarks.analyses.reporting.resampling import estimate
from benchmarks.analyses.reporting.traces import QUESTION, SAME, pair_with_vlm
from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import format_interval, list_names, make_columns, make_estimate

TRACED = ["tile", "relevant", "change", "changed", "drop", "attention"]
RELEVANT, OTHER, CONTRAST = "relevant", "other", "relevant - other"
MEASURES = ["changed", "drop", "attention"]
KEYS = ["entry", "variant", "axis", "change", "tiles"]
COLUMNS = (
    *make_columns("name", *KEYS),
    *make_columns("count", "n"),
    *[column for measure in MEASURES for column in make_estimate(measure)],
    *make_estimate("difference"),
)
USE_COLUMNS = (
    *make_columns("name", *KEYS[:3]),
    *make_columns("count", "n"),
    *make_estimate("top"),
    *make_columns("share", "chance"),
    *make_columns("count", "n_ranked"),
    *make_estimate("rank"),
)
RANKED = 3  # tiles that a question must show for a correlation over them


def build_tile_rows(study: StudyConfig, traced: pd.DataFrame) -> pd.DataFrame:
    """Build a row per entry, variant, axis, change and sort of tile; a question's value is its tiles' mean.

    The contrast is over the questions that show both sorts. `difference`: of changed, to the reference's on
    the same questions.
    """
    if traced.empty:
        return pd.DataFrame(columns=list_names(COLUMNS))
    sorts = traced["relevant"].map({1: RELEVANT, 0: OTHER})
    keys = [*QUESTION, "entry", "change", "tiles"]
    means = traced.assign(tiles=sorts).groupby(keys, sort=False, as_index=False)[MEASURES].mean()
    parts = [means[means["tiles"] == sort] for sort in (RELEVANT, OTHER)]
    same = [key for key in keys if key != "tiles"]
    both = parts[0].merge(parts[1], on=same, suffixes=("", "_other"), validate="1:1")
    contrast = both.assign(tiles=CONTRAST, **{m: both[m] - both[f"{m}_other"] for m in MEASURES})
    rows = pair_with_vlm(
        study, pd.concat([*parts, contrast[means.columns]], ignore_index=True), "changed",
        [*SAME, "change", "tiles"],
    )  # fmt: skip
    found = [
        dict(zip(KEYS, names, strict=True))
        | {"n": len(own)}
        | estimate(study, own, MEASURES)
        | estimate(study, own.dropna(subset="difference"), ["difference"])
        for names, own in rows.groupby(KEYS, sort=False)
    ]
    return pd.DataFrame(found, columns=list_names(COLUMNS))


def build_use_rows(study: StudyConfig, traced: pd.DataFrame) -> pd.DataFrame:
    """Build a row per entry, variant and axis: whether attention points to the tiles that the answer needs.

    `top`: the share of questions with tiles of both sorts whose most looked-at tile is one that matters;
    `chance`: the mean share of such tiles. `rank`: Spearman's correlation, over a question's tiles, of the
    attention on a tile with the drop when it is blank, mean over questions of RANKED tiles or more.
    """
    blank = traced[traced["change"] == "blank"]
    found = [
        dict(zip(KEYS[:3], names, strict=True)) | _compare(study, pd.DataFrame(_list_questions(own)))
        for names, own in blank.groupby(KEYS[:3], sort=False)
    ]
    return pd.DataFrame(found, columns=list_names(USE_COLUMNS))


def _compare(study: StudyConfig, questions: pd.DataFrame) -> dict[str, Any]:
    sorted_out, ranked = questions.dropna(subset="top"), questions.dropna(subset="rank")
    row: dict[str, Any] = {"n": len(sorted_out), "n_ranked": len(ranked)}
    if len(sorted_out):
        row["chance"] = sorted_out.groupby("benchmark")["chance"].mean().mean()
    return row | estimate(study, sorted_out, ["top"]) | estimate(study, ranked, ["rank"])


def _list_questions(own: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for (benchmark, _, cluster), tiles in own.groupby(["benchmark", "index", "cluster"], sort=False):
        row = {"benchmark": benchmark, "cluster": cluster, "top": None, "chance": None, "rank": None}
        if tiles["relevant"].nunique() == 2:
            row["top"] = float(tiles["relevant"].to_numpy()[tiles["attention"].to_numpy().argmax()])
            row["chance"] = float(tiles["relevant"].mean())
        if len(tiles) >= RANKED:
            rank = tiles["attention"].rank().corr(tiles["drop"].rank())
            row["rank"] = None if pd.isna(rank) else float(rank)
        yield row


def describe_tiles(tiles: pd.DataFrame, use: pd.DataFrame) -> list[str]:
    """Write a sentence per variant and axis: what its answers depend on, and whether it looks there."""
    lines = []
    for (variant, axis), own in tiles[tiles["change"] == "blank"].groupby(["variant", "axis"], sort=False):
        by_sort = own.set_index("tiles")
        if CONTRAST not in by_sort.index:
            continue
        one, other = (
            format_interval(*by_sort.loc[sort, ["changed", "changed_low", "changed_high"]])
            for sort in (RELEVANT, OTHER)
        )
        looks = by_sort["attention"]
        line = (
            f"`{variant}`, {axis}: a tile that matters, gone blank, changes {one} of the answers, another"
            f" tile {other}; attention {looks[RELEVANT]:.3f} on the one, {looks[OTHER]:.3f} on the other"
        )
        found = use[(use["variant"] == variant) & (use["axis"] == axis)].to_dict("records")
        if found and not pd.isna(found[0]["top"]):
            line += (
                f"; the tile most looked at matters in {found[0]['top']:.3f} of the questions (chance"
                f" {found[0]['chance']:.3f})"
            )
        lines.append(f"{line}.")
    return lines
