"""Reasoning injection: merge a text-only reasoning model into the vision-language model of the same base."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from frism.merging.on_load import apply, load, merge
    from frism.method.recipe import Recipe
    from frism.triples.triple import Triple

__all__ = ["Recipe", "Triple", "apply", "load", "merge"]

# Where each name lives; imported when it is first used.
_FACE = {
    "Recipe": ("frism.method.recipe", "Recipe"),
    "Triple": ("frism.triples.triple", "Triple"),
    "apply": ("frism.merging.on_load", "apply"),
    "load": ("frism.merging.on_load", "load"),
    "merge": ("frism.merging.on_load", "merge"),
}


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module 'frism' has no attribute '{name}'")
    module, attribute = _FACE[name]
    return getattr(importlib.import_module(module), attribute)
