"""Every question that a merge turned from right to wrong or back, and their numbers per benchmark."""

import pandas as pd

from benchmarks.study.config import StudyConfig

COLUMNS = ["variant", "benchmark", "group", "index", "cluster", "flip", "answer", "reference_extracted",
           "extracted", "reference_correct", "correct"]  # fmt: skip
COUNTED = ["variant", "benchmark", "n", "gained", "lost", "unchanged", "flipped"]


def flip_rows(study: StudyConfig, scores: pd.DataFrame) -> pd.DataFrame:
    """One row per question and variant whose score differs from the reference's, in the config's order.

    `flip` is gained or lost; `answer` the right one; `extracted` what each model answered.

    Args:
        scores: as `study.read_scores` gives it, with answer and cluster where the files have them.
    """
    frame = scores.reindex(columns=[*dict.fromkeys([*scores.columns, "answer", "cluster"])])
    keys = ["benchmark", "index"]
    own = frame[frame["variant"] == study.reference][[*keys, "extracted", "correct"]]
    pairs = frame[frame["variant"] != study.reference].merge(
        own, on=keys, suffixes=("", "_of_reference"), validate="many_to_one"
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
        columns=COLUMNS,
    )
    order = rows.assign(
        variant=rows["variant"].map({v: i for i, v in enumerate(study.variants)}),
        benchmark=rows["benchmark"].map({b: i for i, b in enumerate(study.benchmark_names)}),
        length=rows["index"].str.len(),
    ).sort_values(["variant", "benchmark", "length", "index"])
    return rows.loc[order.index].reset_index(drop=True)


def flip_counts(study: StudyConfig, scores: pd.DataFrame, flips: pd.DataFrame) -> pd.DataFrame:
    """Per variant and benchmark: questions, gained, lost, unchanged, and the share that flipped."""
    asked = scores[scores["variant"] == study.reference].groupby("benchmark").size()
    found = flips.groupby(["variant", "benchmark", "flip"]).size()
    rows = []
    for variant in study.variants:
        for benchmark in study.benchmark_names if variant != study.reference else ():
            n = int(asked[benchmark])
            gained, lost = (int(found.get((variant, benchmark, flip), 0)) for flip in ("gained", "lost"))
            rows.append((variant, benchmark, n, gained, lost, n - gained - lost, (gained + lost) / n))
    return pd.DataFrame(rows, columns=COUNTED)
