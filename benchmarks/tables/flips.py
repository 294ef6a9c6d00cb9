"""List every question that a merge turned from right to wrong or back, and count them per benchmark."""

import pandas as pd

from benchmarks.study.compared import Compared
from benchmarks.tables.cells import list_names, make_columns

COLUMNS = (
    *make_columns("name", "variant", "benchmark", "group"),
    *make_columns("mark", "index", "cluster", "flip"),
    *make_columns("answer", "answer", "reference_extracted", "extracted"),
    *make_columns("share", "reference_correct", "correct"),
)
COUNT_COLUMNS = (
    *make_columns("name", "variant", "benchmark"),
    *make_columns("count", "n", "gained", "lost", "unchanged"),
    *make_columns("share", "flipped"),
)


def build_flip_rows(study: Compared, scores: pd.DataFrame) -> pd.DataFrame:
    """List the questions whose score differs from the reference's: a row each, in the config's order.

    `flip` is gained or lost; `answer` the right one; `extracted` what each model answered.

    Args:
        scores: as `study.read_scores` gives it, with answer and cluster where the files have them.
    """
    frame = scores.reindex(columns=[*dict.fromkeys([*scores.columns, "answer", "cluster"])])
    keys = ["benchmark", "index"]
    reference = frame[frame["variant"] == study.reference][[*keys, "extracted", "correct"]]
    pairs = frame[frame["variant"] != study.reference].merge(
        reference, on=keys, suffixes=("", "_of_reference"), validate="many_to_one"
    )
    pairs = pairs[pairs["correct"] != pairs["correct_of_reference"]]
    rows = pd.DataFrame(
        {
            "variant": pairs["variant"],
            "benchmark": pairs["benchmark"],
            "group": pairs["heading"],
            "index": pairs["index"],
            "cluster": pairs["cluster"],
            "flip": (pairs["correct"] > pairs["correct_of_reference"]).map({True: "gained", False: "lost"}),
            "answer": pairs["answer"],
            "reference_extracted": pairs["extracted_of_reference"],
            "extracted": pairs["extracted"],
            "reference_correct": pairs["correct_of_reference"],
            "correct": pairs["correct"],
        },
        columns=list_names(COLUMNS),
    )
    order = rows.assign(
        variant=rows["variant"].map({v: i for i, v in enumerate(study.variants)}),
        benchmark=rows["benchmark"].map({b: i for i, b in enumerate(study.benchmark_names)}),
        length=rows["index"].str.len(),
    ).sort_values(["variant", "benchmark", "length", "index"])
    return rows.loc[order.index].reset_index(drop=True)


def count_flips(study: Compared, scores: pd.DataFrame, flips: pd.DataFrame) -> pd.DataFrame:
    """Count per variant and benchmark the questions gained, lost, unchanged, and the share that flipped."""
    asked = scores[scores["variant"] == study.reference].groupby("benchmark").size()
    counts = flips.groupby(["variant", "benchmark", "flip"]).size()
    rows = []
    for variant in study.variants:
        for benchmark in study.benchmark_names if variant != study.reference else ():
            n = int(asked[benchmark])
            gained, lost = (int(counts.get((variant, benchmark, flip), 0)) for flip in ("gained", "lost"))
            rows.append((variant, benchmark, n, gained, lost, n - gained - lost, (gained + lost) / n))
    return pd.DataFrame(rows, columns=list_names(COUNT_COLUMNS))
