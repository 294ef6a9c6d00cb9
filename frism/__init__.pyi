"""The types of the package's face, for checkers: `__init__.py` imports its names when they are first used."""

from frism.merging.on_load import apply as apply
from frism.merging.on_load import load as load
from frism.merging.on_load import merge as merge
from frism.method.recipe import Recipe as Recipe
from frism.triples.triple import Triple as Triple

__version__: str
