"""Which questions are right or wrong together: the versions, pairs, rotations and pictures of a benchmark.

A definition names a column of its TSV ("qid") or one of the rules here ("picture").
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.registry.definition import Definition
from frism.errors import UserError, suggest

if TYPE_CHECKING:
    import pandas as pd


def of(definition: Definition, frame: "pd.DataFrame", prints: list[str]) -> list[str]:
    """The cluster of every row of `frame`, "" throughout when questions stand for themselves.

    Args:
        prints: a digest per row of its pictures, as `benchmarks.questions.tsv.Table.prints`.

    Raises UserError when the column or rule that the definition names does not exist or does not fit.
    """
    name = definition.clusters
    if name is None:
        return [""] * len(frame)
    if name == "picture":
        return list(prints)
    if name in RULES:
        try:
            return [RULES[name](row) for _, row in frame.iterrows()]
        except (ValueError, IndexError, KeyError) as error:
            raise UserError(
                f"benchmark {definition.name}: clusters by {name} do not fit its table ({error}): name one"
                " of its columns as `clusters`."
            ) from None
    if name not in frame:
        near = suggest(name, [*frame.columns, "picture", *RULES])
        raise UserError(f"benchmark {definition.name}: its table has no column '{name}' for clusters.{near}")
    return ["" if cell is None or cell != cell else str(cell) for cell in frame[name]]


def _mathverse_problem(row: Any) -> str:
    """A problem's five versions follow each other in the original's numbering (sample_index)."""
    return str(row["problem_index"] if "problem_index" in row else (int(row["index"]) - 1) // 5 + 1)


def _hallusion_set(row: Any) -> str:
    """The index is category_subcategory_visual_set_figure_question; VLMEvalKit groups inside a set."""
    category, subcategory, _, number, _, _ = str(row["index"]).split("_")
    return f"{category}_{subcategory}_{number}"


def _mmbench_group(row: Any) -> str:
    """Rotations of a question are 1,000,000 apart where no column `g_index` says what belongs together."""
    return str(int(row["g_index"] if "g_index" in row else int(row["index"]) % 1_000_000))


RULES: dict[str, Callable[[Any], str]] = {
    "mathverse_problem": _mathverse_problem,
    "hallusion_set": _hallusion_set,
    "mmbench_group": _mmbench_group,
}
