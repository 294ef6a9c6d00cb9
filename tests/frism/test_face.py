"""The face of the package: what `from frism import ...` offers, and that importing it costs nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import frism
from frism.triples.triple import Triple
from workflow.code_digest import trace_imports


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


def test_the_types_are_of_the_same_names() -> None:
    stub = Path(frism.__file__).with_suffix(".pyi").read_text()
    assert sorted(re.findall(r" import (\w+) as \1$", stub, re.MULTILINE)) == sorted(frism.__all__)


def test_asking_for_the_version_reaches_no_other_module() -> None:
    """What `frism/__init__.py` imports is part of the digest of every job."""
    assert set(trace_imports(["frism"])[0]) == {"frism"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'frism' has no attribute 'blend'"):
        frism.blend  # noqa: B018
