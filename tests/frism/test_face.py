"""The face of the package: what `from frism import ...` offers, and that importing it costs nothing."""

import subprocess
import sys

import pytest

import frism
from frism.triples.triple import Triple


def test_importing_frism_loads_no_large_library() -> None:
    large = {"torch", "numpy", "transformers", "pydantic"}
    code = f"import sys, frism; print(sorted({large} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_every_name_of_the_face_is_there_and_works(triple: Triple) -> None:
    from frism import Recipe, apply, load, merge

    assert frism.Triple is Triple
    recipe = Recipe.make(triple, "inject", {"strength": 0.5})
    model = load(triple, None)
    norms = apply(model, triple, recipe)
    merged = dict(merge(triple, recipe))
    assert list(norms) == list(merged) == triple.names()
    name = triple.names()[0]
    assert (merged[name] - triple.read("vlm", name)).norm().item() == pytest.approx(norms[name])
    assert {getattr(frism, name).__name__ for name in frism.__all__} == set(frism.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'frism' has no attribute 'blend'"):
        frism.blend  # noqa: B018
