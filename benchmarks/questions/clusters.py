"""Group questions that are right or wrong together: versions, pairs, rotations, questions on one picture.

A definition names a column of its TSV ("qid") or one of the rules here ("picture").
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.registry.definition import Definition
from frism.errors import UserError, suggest

if TYPE_CHECKING:
    import pandas as pd


def of(definition: Definition, frame: "pd.DataFrame", picture_digests: list[str]) -> list[str]:
    """Return the cluster of every row of `frame`, "" throughout when questions stand for themselves.

    Args:
        picture_digests: per row, as `benchmarks.questions.tsv.Table` has them.

    Raises UserError when the column or rule that the definition names does not exist or does not fit.
    """
    name = definition.clusters
    if name is None:
        return [""] * len(frame)
    if name == "picture":
        return list(picture_digests)
    if name in RULES:
        try:
            return [RULES[name](row) for _, row in frame.iterrows()]
        except (ValueError, IndexError, KeyError) as error:
            raise UserError(
                f"benchmark {definition.name}: clusters by {name} do not fit its table ({error}): name one"
                " of its columns as `clusters`."
            ) from None
    if name not in frame:
        hint = suggest(name, [*frame.columns, "picture", *RULES])
        raise UserError(f"benchmark {definition.name}: its table has no column '{name}' for clusters.{hint}")
    return ["" if cell is None or cell != cell else str(cell) for cell in frame[name]]


def _mathverse_problem(row: "pd.Series") -> str:
    """Return the problem: its five versions follow each other in the original numbering (sample_index)."""
    return str(row["problem_index"] if "problem_index" in row else (int(row["index"]) - 1) // 5 + 1)


def _hallusion_set(row: "pd.Series") -> str:
    """Return the set, from an index category_subcategory_visual_set_figure_question.

    VLMEvalKit groups inside a set.
    """
    category, subcategory, _, number, _, _ = str(row["index"]).split("_")
    return f"{category}_{subcategory}_{number}"


def _mmbench_group(row: "pd.Series") -> str:
    """Return the question that a row rotates: `g_index`, or without it the index modulo 1,000,000."""
    return str(int(row["g_index"] if "g_index" in row else int(row["index"]) % 1_000_000))


RULES: "dict[str, Callable[[pd.Series], str]]" = {
    "mathverse_problem": _mathverse_problem,
    "hallusion_set": _hallusion_set,
    "mmbench_group": _mmbench_group,
}
