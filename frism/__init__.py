"""Reasoning injection: merge a text-only reasoning model into the vision-language model of the same base."""

import importlib
from typing import Any

__version__ = "0.1.0"

# Where each name lives; imported when it is first used. No import statement names them, not even for type
# checkers (__init__.pyi does): the digest of every job's code would hold the whole library.
_FACE = {
    "Recipe": ("frism.method.recipe", "Recipe"),
    "Triple": ("frism.triples.triple", "Triple"),
    "apply": ("frism.merging.on_load", "apply"),
    "load": ("frism.merging.on_load", "load"),
    "merge": ("frism.merging.on_load", "merge"),
}

__all__ = list(_FACE)


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module 'frism' has no attribute '{name}'")
    module, attribute = _FACE[name]
    return getattr(importlib.import_module(module), attribute)
