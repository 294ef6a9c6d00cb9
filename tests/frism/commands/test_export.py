"""`frism export` of a study's variant: what the study merged, to the bit, with the study's own spectra."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText

from benchmarks.answering.engine import open_engine
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.layout import Layout
from frism.commands import study_spectra
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.spectra.quality import decompose_and_measure
from frism.spectra.spectra import Spectra, derive_seed
from frism.spectra.spectrum import Spectrum
from frism.triples.triple import ROLES, Triple

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def layout(triple: Triple, tmp_path: Path) -> Layout:
    """A study with one learned variant, and spectra as another machine would have found them.

    Factors are scaled by as little as fp32 resolves, so that the merge has other bits than with directions
    decomposed on the spot.
    """
    layout = Layout(tmp_path / "results" / "small")
    spectra = Spectra(triple, folder=layout.spectra)
    gates = {}
    for name in triple.names("mat"):
        found, quality = decompose_and_measure(spectra.task_vector(name), spectra.settings, derive_seed(name))
        other = Spectrum(found.u * (1 + 2**-22), found.s, found.vh * (1 - 2**-23), found.tail)
        spectra.store.write(name, other, quality)
        gates[name] = {"open": torch.linspace(1, 0, len(found.s))}
    fitted = Fitted(tensors=gates)
    recipe = Recipe.make(triple, "frism", {"strength": 0.8}, fitted=fitted)
    for folder in (layout.variant("frism"), layout.variant("frism", 0)):
        recipe.save(folder, fitted)
    return layout


def export(triple: Triple, variant: Path, out: Path, *more: object) -> str:
    """Export in a process of its own; return what it wrote on stderr."""
    folders = [word for role in ROLES for word in (f"--{role}", triple.checkpoints[role].folder)]
    words = [sys.executable, "-m", "frism", "export", variant, *folders, "--out", out, *more]
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForImageTextToText.from_pretrained(folder, dtype="auto").state_dict()


def count_unequal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> int:
    assert one.keys() == other.keys()
    return sum(not torch.equal(one[name], other[name]) for name in one)


def test_an_export_has_the_bits_that_the_study_answered_with(
    triple: Triple, layout: Layout, tmp_path: Path
) -> None:
    recipe, fitted = Recipe.load(layout.variant("frism"))
    engine = open_engine(triple, recipe, fitted, EngineSettings(), spectra=layout.spectra)
    answering = engine.model.state_dict()
    kept = {path: path.stat().st_mtime_ns for path in layout.spectra.rglob("*")}
    for number, variant in enumerate((layout.variant("frism"), layout.variant("frism", 0))):
        assert export(triple, variant, tmp_path / f"out{number}") == ""
        assert count_unequal(answering, tensors(tmp_path / f"out{number}")) == 0
    assert {path: path.stat().st_mtime_ns for path in layout.spectra.rglob("*")} == kept
    # Elsewhere there are no spectra beside it, which is said; and these spectra do make a difference.
    alone = shutil.copytree(layout.variant("frism"), tmp_path / "alone")
    note = export(triple, alone, tmp_path / "again")
    assert note.startswith(f"note: the singular directions are computed again, since {alone} has none beside")
    assert note.count("\n") == 1
    assert count_unequal(answering, tensors(tmp_path / "again")) > 10
    assert export(triple, alone, tmp_path / "named", "--spectra", layout.spectra) == ""
    assert count_unequal(answering, tensors(tmp_path / "named")) == 0


def test_what_the_study_lacks_is_said(
    triple: Triple, layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    variant = layout.variant("frism")
    recipe, _ = Recipe.load(variant)
    assert study_spectra.choose_spectra(variant, triple, recipe) == layout.spectra
    assert capsys.readouterr().err == ""
    files = sorted(layout.spectra.rglob("*.safetensors"))
    files[0].unlink()
    assert study_spectra.choose_spectra(variant, triple, recipe) == layout.spectra
    assert f"lacks the singular directions of 1 of {len(files)} matrices" in capsys.readouterr().err
    for path in files[1:]:
        path.unlink()
    assert study_spectra.choose_spectra(variant, triple, recipe) is None, "nothing is added to the study"
    assert f"{layout.spectra} holds none for this variant" in capsys.readouterr().err
    plain = Recipe.make(triple, "inject")
    assert study_spectra.choose_spectra(variant, triple, plain) is None
    assert capsys.readouterr().err == "", "a method without directions has none to compute"


def test_a_study_is_known_from_within_and_through_a_link(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = layout.variant("frism")
    monkeypatch.chdir(variant.parent)
    assert study_spectra.find_spectra(Path("frism")) == layout.spectra
    (tmp_path / "link").symlink_to(variant)
    assert study_spectra.find_spectra(tmp_path / "link") == layout.spectra
    assert study_spectra.find_spectra(tmp_path) is None
    assert study_spectra.find_spectra(layout.variant("frism", 0)) == layout.spectra
    shutil.rmtree(layout.spectra)
    assert study_spectra.find_spectra(variant) is None
