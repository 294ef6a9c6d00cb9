"""The vllm engine, as far as it goes without vLLM: which exports it takes."""

import shutil
from pathlib import Path

import pytest
import torch

from benchmarks.answering.vllm_engine import check_checkpoint, refuse_side_files
from frism.errors import UserError
from frism.merging.export import Job, export
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple


def test_an_export_with_coefficients_among_its_weights_is_refused(triple: Triple, tmp_path: Path) -> None:
    """vLLM reads every safetensors file of the root, unless an index names those that count."""
    fitted = Fitted({"vlm": torch.tensor(0.25), "lrm": torch.tensor(0.75)})
    recipe, out = Recipe.make(triple, "metagpt", fitted=fitted), tmp_path / "out"
    export(Job.from_recipe(triple, recipe, fitted, out))
    check_checkpoint(out, recipe)
    refuse_side_files(out)
    older = shutil.copytree(out, tmp_path / "older")
    for path in (older / "frism").iterdir():
        path.rename(older / path.name)
    (older / "frism").rmdir()
    check_checkpoint(older, recipe)
    with pytest.raises(
        UserError, match=r"older has coefficients\.safetensors among its weights.*older/frism"
    ):
        refuse_side_files(older)
    (older / "frism").mkdir()
    for name in ("recipe.json", "coefficients.safetensors"):  # what the sentence says
        (older / name).rename(older / "frism" / name)
    check_checkpoint(older, recipe)
    refuse_side_files(older)
