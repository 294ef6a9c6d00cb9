"""The benchmarks of a study: a list of names and mappings, resolved once and remembered.

A definition may come from a file of ours, the prepared table or VLMEvalKit's sources; looking through those
takes a second, which a plan should not spend each time.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.registry import lookup
from frism.errors import UserError
from workflow.code_digest import ROOT, code_digest
from workflow.remember import remembered

Entry = str | Mapping[str, Any]
# No number of a study comes of these.
PROSE = ("title", "n", "licence", "download_mb", "unverified", "notes", "stock_judge")


def names(entries: Sequence[Entry]) -> list[str]:
    """The names of a list's benchmarks."""
    return [entry if isinstance(entry, str) else str(entry["name"]) for entry in entries]


def listed(entries: Sequence[Entry], wanted: Sequence[str] | None = None) -> str:
    """A list as `benchmarks.registry.lookup.find_all` reads it; only the benchmarks `wanted`, if given."""
    kept = [e for e, name in zip(entries, names(entries), strict=True) if wanted is None or name in wanted]
    return ",".join(names(kept)) if all(isinstance(e, str) for e in kept) else json.dumps(kept)


def resolved(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The definitions of a list, as JSON, with `on_dev`: whether coefficients are chosen by it.

    Raises UserError for a name that is unknown or given twice, and for a faulty mapping.
    """
    code = code_digest(
        "benchmarks.registry.lookup",
        data=("benchmarks/registry/catalogue.yaml", "benchmarks/definitions/*.yaml"),
    )
    return remembered(["benchmarks", str(ROOT), code, list(entries)], lambda: _resolved(entries))


def digest(entries: Sequence[Entry]) -> str:
    """16 hex digits for what the definitions of a list say, prose left out."""
    said = [{k: v for k, v in d.items() if k not in PROSE} for d in resolved(entries)]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _resolved(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    found = []
    for name, entry in zip(names(entries), entries, strict=True):
        if names(entries).count(name) > 1:
            raise UserError(f"{name} is named twice: keep one.")
        definition = lookup.find(entry)
        if definition.source.lm_eval is not None:
            from benchmarks.text import task_configs

            if task_configs.own_file(definition) is None:
                task_configs.known(task_configs.task_name(definition))
        found.append({**definition.model_dump(mode="json"), "on_dev": definition.on_dev})
    return found
