"""Write tables of answers as CSV, the same way for every stage."""

import csv
from pathlib import Path
from typing import Any

import pandas as pd

from frism.files import atomic_write

# Texts are quoted: a bare carriage return in an answer would end the line for whoever reads it.
QUOTED: dict[str, Any] = {"index": False, "lineterminator": "\n", "quoting": csv.QUOTE_NONNUMERIC}


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table atomically. Raises UserError when the disk refuses."""
    with atomic_write(path) as temporary:
        table.to_csv(temporary, **QUOTED)
