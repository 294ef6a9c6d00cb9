"""Check one row of a published table before it is asked: question, gold answer, pictures for its marks.

VLMEvalKit drops rows without a picture and keeps all others: it would ask "nan", end the scoring of the whole
benchmark at an empty answer, and show the wrong picture or none for a mark. What to do with such a row is the
user's decision, so it is named and nothing is left out in silence.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from benchmarks.vlmevalkit.loading import SHOWN
from frism.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

NO_QUESTION = "[no question in the table]"  # some classes ask without it, as where the picture holds it
_MARK = re.compile(r"<image (\d+)>")


def check_row(line: "pd.Series[Any]", where: str, *, marked: bool) -> None:
    """Raise UserError, a sentence that begins with `where`, for a row that cannot be asked or judged.

    Args:
        line: the row with its pictures, as VLMEvalKit's class has it.
        marked: whether the class puts pictures where the text says <image 1>, <image 2>, ...
    """
    if "answer" in line and is_empty(line["answer"]):
        raise UserError(f"{where} has an empty gold answer: fill it in, or delete the row.")
    if not marked:
        return
    shown: Any = next((line[c] for c in ("image", "image_path") if c in line), [])
    pictures = len(shown) if isinstance(shown, list) else 1
    texts = " ".join(str(line[column]) for column in SHOWN if column in line)
    for number in map(int, _MARK.findall(texts)):
        if not 1 <= number <= pictures:
            count = f"{pictures} picture{'s' if pictures != 1 else ''}"
            raise UserError(
                f"{where} names <image {number}>, but has {count}: add the picture, or correct the text."
            )


def check_asked(texts: Iterable[str], where: str) -> None:
    """Raise UserError when a prompt shows the question of a row without one, for which NO_QUESTION stood."""
    if any(NO_QUESTION in text for text in texts):
        raise UserError(f"{where} has an empty question: fill it in, or delete the row.")


def is_empty(cell: object) -> bool:
    """Tell whether a cell holds nothing, or spaces alone."""
    return cell is None or cell != cell or (isinstance(cell, str) and not cell.strip())
