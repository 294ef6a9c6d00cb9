"""Check the names in a study's config: of studies and variants, and of the benchmarks that it asks."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field


def _check_name(entry: str | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(entry, dict) and not isinstance(entry.get("name"), str):
        raise ValueError("the key 'name' is missing")
    return entry


def list_names(entries: Sequence[str | dict[str, Any]]) -> list[str]:
    """Return the names of a config's benchmarks, in their order."""
    return [entry if isinstance(entry, str) else str(entry["name"]) for entry in entries]


# A benchmark's name, or a mapping with `name` that changes what the definition says.
Entry = Annotated[str | dict[str, Any], AfterValidator(_check_name)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
