"""Write the table of config/README.md: every key of a study's config with its meaning and default.

python -m benchmarks.tools.config_reference            prints the table
python -m benchmarks.tools.config_reference --write    puts it into config/README.md
"""

from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from benchmarks.study.analysis_settings import AnalysisSettings
from benchmarks.study.config import StudyConfig
from benchmarks.study.variant_config import VariantConfig
from benchmarks.study.vllm_settings import VllmSettings
from frism.errors import UserError, report_errors
from frism.files import atomic_write

FILE = Path(__file__).resolve().parents[2] / "config" / "README.md"
HEAD = "| key | meaning | default |\n|---|---|---|\n"


def make_table() -> str:
    """Return the whole table as Markdown."""
    rows = (f"| `{key}` | {meaning} | {default} |\n" for key, meaning, default in _list_rows(StudyConfig, ""))
    return HEAD + "".join(rows)


def _list_rows(model: type[BaseModel], above: str) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        key = f"{above}{name}"
        if name == "variants" and model is StudyConfig:
            yield from _list_rows(VariantConfig, f"{key}.<name>.")
        elif name == "analyses":
            yield from _list_rows(AnalysisSettings, f"{key}.<name>.")
        elif (section := _find_section(field)) is not None:
            nested = above == "" or section is VllmSettings
            yield from _list_rows(section, f"{key}.") if nested else [_make_row(key, model, name, field)]
        else:
            yield _make_row(key, model, name, field)


def _make_row(key: str, model: type[BaseModel], name: str, field: FieldInfo) -> tuple[str, str, str]:
    """Describe one key; a field that only became required keeps the description that it was given first."""
    parents = [m for m in model.__mro__ if issubclass(m, BaseModel) and name in m.model_fields]
    meaning = next(filter(None, (parent.model_fields[name].description for parent in parents)), "")
    return key, meaning.replace("|", "\\|"), _format_default(field)


def _find_section(field: FieldInfo) -> type[BaseModel] | None:
    """Find the model of a section of its own; None for a plain value."""
    kinds = [k for k in (field.annotation, *get_args(field.annotation)) if k is not NoneType]
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def _format_default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.default
    if value in (None, (), {}, PydanticUndefined):  # the last: made of other keys
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def replace_table(text: str) -> str:
    """Return the text of config/README.md with a fresh table. Raises UserError when it has none."""
    before, head, rest = text.partition(HEAD)
    if not head:
        raise UserError(f"{FILE} has no table of keys: restore the file.")
    after = rest.partition("\n\n")[2]
    return f"{before}{make_table()}\n{after}"


@report_errors()
def main(write: Annotated[bool, typer.Option("--write", help="into config/README.md")] = False) -> None:
    """Print the table of the config's keys, or write it into config/README.md."""
    if not write:
        print(make_table(), end="")
        return
    text = replace_table(FILE.read_text(encoding="utf-8"))
    with atomic_write(FILE) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
