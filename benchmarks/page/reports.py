"""Put what was made of several studies into a page: tables, figures and words without questions."""

import re
from pathlib import Path
from typing import Any

from benchmarks.page.folders import link_or_copy
from benchmarks.page.markdown import Node, parse_markdown
from benchmarks.page.shards import FORMAT, ShardFolder
from benchmarks.page.table_files import ROWS, read_tables
from benchmarks.study.layout import RECORD
from frism.errors import UserError


def is_report(folder: Path) -> bool:
    """Tell whether a folder has tables and is no study, as `frism across` and `frism compare` write."""
    return not (folder / RECORD).exists() and (folder / "tables").is_dir()


def name_report(folder: Path) -> str:
    """Name a report by its folder."""
    return re.sub(r"[^a-z0-9_]", "_", folder.resolve().name.lower()) or "report"


def write_report(folder: Path, page: Path) -> None:
    """Write a report into the folder of a page. Raises UserError for a broken table."""
    name = name_report(folder)
    tables = read_tables(folder / "tables")
    if not tables:
        raise UserError(f"{folder / 'tables'} has no tables: name a results folder.")
    shards = ShardFolder(page / "data" / name, name)
    for table in tables:
        for part in range(max(1, -(-len(table.rows) // ROWS))):
            shards.write(f"tables/{table.name}.{part}", table.rows[part * ROWS : (part + 1) * ROWS])
    words = folder / "summary.md"
    text: list[Node] = parse_markdown(words.read_text(encoding="utf-8")) if words.exists() else []
    shards.write("summary", text)
    figures = sorted((folder / "figures").glob("*.png"))
    about: dict[str, Any] = {
        "format": FORMAT, "study": name, "report": True, "tables": [t.describe() for t in tables],
        "figures": [path.stem for path in figures], "record": "",
    }  # fmt: skip
    shards.write("study", about)
    for path in (*sorted((folder / "tables").glob("*.csv")), *figures):
        link_or_copy(path, page / "files" / name / path.parent.name / path.name)
