"""Several donors with a weight each, and vision-language models as donors."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from frism.errors import UserError
from frism.merging.export import Job, export
from frism.merging.on_load import merge
from frism.method.discovery import find
from frism.method.recipe import Recipe
from frism.spectra.spectra import Spectra
from frism.triples.donors import parse_donors
from frism.triples.triple import Triple
from tests.support import architectures


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """B, V and two donors, "lrm" and "second"; fp32."""
    architectures.make("qwen2_5_vl", tmp_path)
    second = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    architectures.perturb(second, 17, 0.004)
    second.save_pretrained(tmp_path / "second")
    architectures.tokenizer().save_pretrained(tmp_path / "second")
    return {name: tmp_path / name for name in ("base", "vlm", "lrm", "second")}


def average(folders: dict[str, Path], weights: tuple[float, float], out: Path) -> None:
    """Write B + the weighted sum of the donors' task vectors as a checkpoint, computed in fp64."""
    base, *donors = (load_file(folders[n] / "model.safetensors") for n in ("base", "lrm", "second"))
    AutoModelForCausalLM.from_pretrained(folders["base"]).save_pretrained(out)
    merged = {
        name: (value.double() + sum(w * (d[name].double() - value.double())
                                    for w, d in zip(weights, donors, strict=True))).float()
        for name, value in base.items()
    }  # fmt: skip
    save_file(merged, out / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("method", ["inject", "ties", "rank_block", "interp"])
def test_two_donors_are_their_averaged_task_vector(
    folders: dict[str, Path], tmp_path: Path, method: str
) -> None:
    average(folders, (0.5, 0.5), tmp_path / "mean")
    several = Triple.open(folders["base"], folders["vlm"], [folders["lrm"], folders["second"]])
    one = Triple.open(folders["base"], folders["vlm"], tmp_path / "mean")
    for (name, merged), (_, expected) in zip(
        merge(several, Recipe.make(several, method)), merge(one, Recipe.make(one, method)), strict=True
    ):
        torch.testing.assert_close(merged, expected, rtol=1e-5, atol=2e-7, msg=name)
    assert several.digest["lrm"] not in (one.digest["lrm"], several.checkpoints["lrm"].digest)


def test_weights_count_and_reach_every_reader(folders: dict[str, Path], tmp_path: Path) -> None:
    sources = [f"0.7*{folders['lrm']}", f"-0.2*{folders['second']}"]
    triple = Triple.open(folders["base"], folders["vlm"], sources)
    average(folders, (0.7, -0.2), tmp_path / "mean")
    one = Triple.open(folders["base"], folders["vlm"], tmp_path / "mean")
    name = "layers.1.mlp.up_proj.weight"
    torch.testing.assert_close(triple.read("lrm", name), one.read("lrm", name), rtol=0, atol=1e-7)
    rows = triple.read("lrm", name, rows=slice(3, 9))
    assert torch.equal(rows, triple.read("lrm", name)[3:9])
    torch.testing.assert_close(Spectra(triple).load(name).s, Spectra(one).load(name).s, rtol=1e-4, atol=1e-6)
    params = find("inject").validate({"strength": 1.0})
    for source, out in ((triple, "a"), (one, "b")):
        export(Job(source, "inject", params, "mat", tmp_path / out, sync=False))
    merged, expected = (load_file(tmp_path / out / "model.safetensors") for out in "ab")
    for stored, value in expected.items():
        torch.testing.assert_close(merged[stored], value, rtol=0, atol=2e-7)
    card = (tmp_path / "a/README.md").read_text()
    assert "R is B +0.7 (lrm - B) -0.2 (second - B)." in card


def test_the_command_takes_several_donors(folders: dict[str, Path], tmp_path: Path) -> None:
    words = ["merge", "--base", folders["base"], "--vlm", folders["vlm"], "--method", "inject", "--no-sync",
             "--lrm", f"0.5*{folders['lrm']}", "--lrm", f"0.5*{folders['second']}",
             "--out", tmp_path / "out"]  # fmt: skip
    subprocess.run([sys.executable, "-m", "frism", *map(str, words)], check=True)
    triple = Triple.open(folders["base"], folders["vlm"], [folders["lrm"], folders["second"]])
    recipe, _ = Recipe.load(tmp_path / "out")
    recipe.check(triple, None)
    with pytest.raises(UserError, match="another lrm"):
        recipe.check(Triple.open(folders["base"], folders["vlm"], folders["lrm"]), None)


def test_every_donor_is_checked(folders: dict[str, Path], edit_weights: Callable) -> None:
    edit_weights(folders["second"], lambda tensors: tensors.pop("model.layers.2.mlp.up_proj.weight"))
    with pytest.raises(UserError, match=r"second \(lrm 2\) lacks the tensor model\.layers\.2\.mlp\.up_proj"):
        Triple.open(folders["base"], folders["vlm"], [folders["lrm"], folders["second"]])


@pytest.mark.parametrize(
    ("sources", "said"),
    [([], "no donor"), (["0.5*a", "b"], r"b has no weight.*WEIGHT\*b"), (["0*a", "1*b"], "other than zero"),
     (["1.2.3*a"], "other than zero")],
)  # fmt: skip
def test_weights_that_make_no_sense(sources: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_donors(sources)


def test_donors_without_weights_share_evenly() -> None:
    assert parse_donors("a") == [("a", 1.0)]
    assert parse_donors(["a", "b"]) == [("a", 0.5), ("b", 0.5)]
    assert parse_donors(["2*a", "-1e-1*b"]) == [("a", 2.0), ("b", -0.1)]


def test_the_language_tower_of_a_vlm_counts_as_donor(tmp_path: Path) -> None:
    """R is a VLM with other names, whose tower has the weights of a text model R."""
    architectures.make("llava_onevision", tmp_path)
    architectures.make("qwen2_vl", tmp_path / "other")
    path = tmp_path / "other/vlm/model.safetensors"
    donor = load_file(tmp_path / "lrm/model.safetensors")
    tensors = {name: donor.get(name, value) for name, value in load_file(path).items()}
    embedding = "model.embed_tokens.weight"
    tensors |= {name: load_file(path)[name] for name in (embedding, "lm_head.weight")}
    save_file(tensors, path, {"format": "pt"})
    sources = {"base": tmp_path / "base", "vlm": tmp_path / "vlm"}
    with pytest.raises(UserError, match=r"other/vlm \(lrm\) is a vision-language model .*--vlm-donor"):
        Triple.open(**sources, lrm=tmp_path / "other/vlm")
    triple = Triple.open(**sources, lrm=tmp_path / "other/vlm", vlm_donor=True)
    text = Triple.open(**sources, lrm=tmp_path / "lrm")
    assert triple.names("mat+bias+norm") == text.names("mat+bias+norm")
    for name in text.names("mat+bias+norm"):
        assert torch.equal(triple.read("lrm", name), text.read("lrm", name))
