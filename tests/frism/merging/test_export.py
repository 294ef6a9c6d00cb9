"""A written merge: what may not change did not, it equals merge on load, survives kills, and loads."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForImageTextToText
from typer.testing import CliRunner

from frism.__main__ import app
from frism.checkpoints.checkpoint import Checkpoint
from frism.errors import UserError
from frism.merging import export as exporting
from frism.merging import on_load
from frism.merging.export import Job, export
from frism.method.discovery import find, list_names
from frism.method.fitted import Fitted
from frism.method.fitting import DevScores
from frism.method.recipe import Recipe
from frism.spectra.spectra import Spectra
from frism.triples.scopes import WIDEST_SCOPE
from frism.triples.triple import ROLES, Triple
from tests.support import architectures
from tests.support.fits import fit

ROOT = Path(__file__).resolve().parents[3]
MERGING = [name for name in list_names() if not find(name).mix]


def frism(*arguments: object, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line in its own process, after the statements `before`."""
    program = f"{before}\nfrom frism.__main__ import main\nmain()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def folders_of(triple: Triple) -> list[str]:
    return [word for role in ROLES for word in (f"--{role}", str(triple.checkpoints[role].folder))]


def raw(checkpoint: Checkpoint) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Every tensor as it lies in its file."""
    found = {}
    for name, header in checkpoint.tensors.items():
        with header.file.open("rb") as stream:
            stream.seek(header.start)
            found[name] = (header.dtype, header.shape, stream.read(header.bytes))
    return found


def loaded(folder: Path) -> nn.Module:
    model, info = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True, dtype="auto")
    assert not any(info.values()), info
    return model.eval()


def make_job(triple: Triple, out: Path, method: str = "inject", **more: object) -> Job:
    params = find(method).validate(more.pop("params", {}))  # type: ignore[arg-type]
    return Job(triple, method, params, str(more.pop("scope", "mat")), out, **more)  # type: ignore[arg-type]


def check_export(triple: Triple, recipe: Recipe, out: Path) -> None:
    """The contract of every written merge."""
    before, after = raw(triple.checkpoints["vlm"]), raw(Checkpoint(out))
    assert list(after) == list(before), "same names, same order"
    merged = {triple.stored(name) for name in triple.names(recipe.scope)}
    for name, content in after.items():
        if name in merged:
            assert content[:2] == before[name][:2]
            assert content[2] != before[name][2], name
        else:
            assert content == before[name], name
    model, filled = loaded(out), on_load.load(triple, recipe, dtype="auto")
    state = filled.state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor.view(torch.uint8), state[name].view(torch.uint8)), name
    prompt = torch.tensor([[1, 5, 9]])
    tokens = model.generate(
        input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=1, do_sample=False
    )
    assert tokens.shape == (1, 4)


EVERY = [
    pytest.param(family, naming, shards, tied, id=f"{family}-{naming}-{shards}-{tied}",
                 # Two of the eight always run: every family, naming, sharding and tying among them.
                 marks=() if shards == tied and (naming == "hub") == shards else pytest.mark.slow)
    for family in architectures.FAMILIES
    for naming in ("hub", "memory")
    for shards in (False, True)
    for tied in (False, True)
]  # fmt: skip


@pytest.mark.parametrize(("family", "naming", "shards", "tied"), EVERY)
def test_every_architecture_merges_reloads_and_generates(
    tmp_path: Path, family: str, naming: architectures.Naming, shards: bool, tied: bool
) -> None:
    architectures.make(family, tmp_path, naming, shards, tied, dtype=torch.bfloat16)
    triple = Triple.open(**{role: tmp_path / role for role in ROLES})
    recipe = Recipe.make(triple, "inject", {"strength": 0.7}, scope=WIDEST_SCOPE)
    outcome = export(Job.from_recipe(triple, recipe, Fitted(), tmp_path / "out"))
    counts = outcome.plan.count_fates()
    assert counts["merged"] == len(triple.names(WIDEST_SCOPE))
    assert sum(counts.values()) == len(triple.checkpoints["vlm"].tensors)
    assert (counts["skipped"] > 0) == (family == "mllama")
    check_export(triple, recipe, tmp_path / "out")


@pytest.mark.parametrize("method", [name for name in MERGING if not find(name).fit and name != "vlm"])
def test_every_method_writes_what_merge_on_load_fills_in(triple: Triple, tmp_path: Path, method: str) -> None:
    recipe = Recipe.make(triple, method, scope=WIDEST_SCOPE, seed=4)
    export(Job.from_recipe(triple, recipe, Fitted(), tmp_path / "out"))
    model, filled = loaded(tmp_path / "out"), on_load.load(triple, recipe)
    state = filled.state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor.view(torch.uint8), state[name].view(torch.uint8)), name


def fit_kind(method: str, triple: Triple, calibration: SimpleNamespace) -> tuple[dict[str, Any], Fitted]:
    """Fit a method on the triple; what starts from another variant starts from learned gates."""
    if not find(method).fit:
        return {}, Fitted()
    needs, params, given = find(method).needs, {}, {"seed": 4}
    if "spectrum" in needs:
        given["spectra"] = Spectra(triple)
    if "calibration" in needs:
        short = {"steps": 1, "batch": 4, "max_new_tokens": 2}
        params, given["calibration"] = (
            {k: short[k] for k in short if k in find(method).parameters},
            calibration,
        )
    if "reference" in needs:
        gates = {n: torch.linspace(0, 1, min(triple.header("vlm", n).shape)) for n in triple.names("mat")}
        entries = {name: {"open": gate} for name, gate in gates.items()}
        given["reference"] = Fitted(tensors=entries, params={"strength": 1.0})
    if "dev" in needs:
        params, given["scorer"] = {"evaluations": 3}, lambda fitted: DevScores(0.5, 0.5, 0.0)
    return params, fit(method, triple, params, **given)


KINDS = [
    pytest.param(method, shard_size, id=f"{method}-{shard_size}",
                 # One of every kind always runs; the others are made by the same code.
                 marks=() if method in ("inject", "metagpt", "evolve_layers", "frism", "frism_uniform")
                 else pytest.mark.slow)
    for method in MERGING for shard_size in (None, 500_000)
]  # fmt: skip


@pytest.mark.parametrize(("method", "shard_size"), KINDS)
def test_the_root_has_the_model_and_its_card_alone(
    triple: Triple, calibration: SimpleNamespace, tmp_path: Path, method: str, shard_size: int | None
) -> None:
    """What an engine finds that loads every weight file of the root, as vLLM does."""
    params, fitted = fit_kind(method, triple, calibration)
    recipe, out = Recipe.make(triple, method, params, fitted=fitted), tmp_path / "out"
    export(Job.from_recipe(triple, recipe, fitted, out, shard_size=shard_size))
    weights = {path.name for path in out.glob("*.safetensors")}
    index = out / "model.safetensors.index.json"
    named = set(json.loads(index.read_text())["weight_map"].values()) if shard_size else {"model.safetensors"}
    assert weights == named
    stored = [name for file in sorted(weights) for name in load_file(out / file)]
    assert sorted(stored) == sorted(triple.checkpoints["vlm"].tensors)
    own = {path.name for path in triple.vlm_folder.iterdir()} - {"model.safetensors"}
    expected = own | named | {"README.md", "frism"} | ({index.name} if shard_size else set())
    assert {path.name for path in out.iterdir()} == expected
    coefficients = {"coefficients.safetensors"} if fitted else set()
    assert {path.name for path in (out / "frism").iterdir()} == {
        "recipe.json", "merge_report.json", "mergekit_config.yml", *coefficients,
    }  # fmt: skip
    loaded(out)
    again, read = Recipe.load(out)
    assert again == recipe
    assert fitted.flatten().keys() == read.flatten().keys()


def test_an_older_export_with_its_records_in_the_root_is_still_read(triple: Triple, tmp_path: Path) -> None:
    fitted = Fitted({"vlm": torch.tensor(0.25), "lrm": torch.tensor(0.75)})
    recipe, out = Recipe.make(triple, "metagpt", fitted=fitted), tmp_path / "out"
    export(Job.from_recipe(triple, recipe, fitted, out))
    older = shutil.copytree(out, tmp_path / "older")
    for path in (older / "frism").iterdir():
        path.rename(older / path.name)
    (older / "frism").rmdir()
    for folder in (out, out / "frism", older):
        again, read = Recipe.load(folder)
        assert again == recipe
        assert read.model["lrm"].item() == 0.75
    export(Job.from_recipe(triple, *Recipe.load(older), tmp_path / "again"))
    assert raw(Checkpoint(tmp_path / "again")) == raw(Checkpoint(out))
    # As a receiver it hands on its model, and not the records of how it was made.
    merged = Triple.open(triple.base_folder, older, triple.lrm_folder)
    export(make_job(merged, tmp_path / "next"))
    assert {path.name for path in (tmp_path / "next").iterdir()} == {path.name for path in out.iterdir()}
    assert Recipe.load(tmp_path / "next")[0].method == "inject"


def test_a_folder_of_variants_is_no_export(tmp_path: Path, triple: Triple) -> None:
    """One of its variants may be called frism."""
    Recipe.make(triple, "inject").save(tmp_path / "variants" / "frism")
    with pytest.raises(UserError, match=r"cannot read .*variants/recipe\.json"):
        Recipe.load(tmp_path / "variants")


@pytest.mark.parametrize(("method", "params"), [("inject", {"strength": 0.0}), ("vlm", {})])
def test_nothing_injected_is_v_byte_for_byte(
    copied_folders: dict[str, Path], edit_weights: Callable, tmp_path: Path, method: str, params: dict
) -> None:
    def negative_zeros(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.0.self_attn.q_proj.weight"][0] = -0.0

    edit_weights(copied_folders["vlm"], negative_zeros)
    triple = Triple.open(**copied_folders)
    export(make_job(triple, tmp_path / "out", method, params=params, scope=WIDEST_SCOPE))
    own = (copied_folders["vlm"] / "model.safetensors").read_bytes()
    assert (tmp_path / "out/model.safetensors").read_bytes() == own
    before = on_load.load(triple, None).state_dict()
    after = on_load.load(triple, Recipe.make(triple, method, params)).state_dict()
    assert all(before[name].numpy().tobytes() == after[name].numpy().tobytes() for name in before)


def test_other_files_are_taken_over_verbatim_and_readable(
    copied_folders: dict[str, Path], tmp_path: Path
) -> None:
    vlm = copied_folders["vlm"]
    (vlm / "LICENSE").write_text("Some Licence 1.0\n\nwords\n")
    (vlm / "README.md").write_text("---\nlicense: apache-2.0\n---\n# V\n")
    (vlm / "additional_chat_templates").mkdir()
    (vlm / "additional_chat_templates/tool.jinja").write_text("{{ tool }}")
    (vlm / "notes.csv").write_text("not a part of the model")
    (vlm / "tokenizer.json").chmod(0o600)
    old = os.umask(0o027)
    try:
        export(make_job(Triple.open(**copied_folders), tmp_path / "out"))
    finally:
        os.umask(old)
    out = tmp_path / "out"
    records = {"frism/recipe.json", "frism/merge_report.json", "frism/mergekit_config.yml"}
    own = {"README.md", "model.safetensors", *records}
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    kept = {str(path.relative_to(vlm)) for path in vlm.rglob("*") if path.is_file()}
    assert written - own == kept - own - {"notes.csv"}
    for name in written - own:
        assert (out / name).read_bytes() == (vlm / name).read_bytes()
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.rglob("*") if path.is_file()} == {0o640}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_card_report_and_provenance(copied_folders: dict[str, Path], tmp_path: Path) -> None:
    (copied_folders["vlm"] / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (copied_folders["lrm"] / "LICENSE").write_text("\n  MIT License\n\nCopyright\n")
    triple = Triple.open(**copied_folders)
    outcome = export(make_job(triple, tmp_path / "out", params={"strength": 0.25}, dtype="BF16"))
    recipe, fitted = Recipe.load(tmp_path / "out")
    assert recipe == Recipe.make(triple, "inject", {"strength": 0.25}) == outcome.recipe
    assert not fitted
    card = (tmp_path / "out/README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "apache-2.0"
    assert head["base_model"] == [
        f"{triple.vlm_folder.parent.name}/{role}" for role in ("vlm", "lrm", "base")
    ]
    assert head["tags"] == ["merge", "frism", "inject"]
    assert "without training" in card
    for words in (*triple.digest.values(), "apache-2.0", "MIT License (its LICENSE)", "not stated", "0.25",
                  recipe.key, "vision tower", "--set strength=0.25 --scope mat --seed 0 --dtype BF16",
                  ):  # fmt: skip
        assert words in card
    assert str(tmp_path) not in card
    report = json.loads((tmp_path / "out/frism/merge_report.json").read_text())
    assert list(report["tensors"]) == list(triple.checkpoints["vlm"].tensors)
    norms = on_load.measure_injected_norms(triple, recipe)
    for name, norm in norms.items():
        row = report["tensors"][triple.stored(name)]
        assert row["injected"] == pytest.approx(norm, rel=1e-5)
        stored, tensor = Checkpoint(tmp_path / "out").read(triple.stored(name)), None
        tensor = dict(on_load.merge(triple, recipe))[name] if name == "layers.0.mlp.up_proj.weight" else None
        if tensor is not None:
            error = stored.double() - tensor.double()
            assert row["cast"] == pytest.approx(error.norm().item(), rel=1e-5)
            assert row["largest"] == pytest.approx(error.abs().max().item(), rel=1e-6)
    for name, tensor in on_load.merge(triple, recipe):
        error = Checkpoint(tmp_path / "out").read(triple.stored(name)).double() - tensor.double()
        row = report["tensors"][triple.stored(name)]
        assert row["cast"] == pytest.approx(error.norm().item(), rel=1e-5)
        assert row["largest"] == pytest.approx(error.abs().max().item(), rel=1e-6)
    assert 0 < report["total"]["cast_relative_to_injected"] < 0.2
    config = yaml.safe_load((tmp_path / "out/frism/mergekit_config.yml").read_text())
    assert config["merge_method"] == "task_arithmetic"
    assert [model["parameters"]["weight"] for model in config["models"]] == [1.0, 0.25]


@pytest.mark.parametrize("method", list_names())
def test_every_method_has_provenance_in_mergekits_words_or_says_why_not(triple: Triple, method: str) -> None:
    from frism.merging.mergekit_config import format_mergekit_config

    recipe = Recipe.make(triple, method, fitted=Fitted({"x": torch.ones(1)}) if find(method).fit else None)
    text = format_mergekit_config(recipe, {role: role for role in ROLES}, "BF16")
    config = yaml.safe_load(text)
    assert (config is None) == (f"mergekit has no such method: {method} with" in text)


def test_sharding_keeps_every_tensor_and_the_index_points_to_it(triple: Triple, tmp_path: Path) -> None:
    recipe = Recipe.make(triple, "interp")
    export(Job.from_recipe(triple, recipe, Fitted(), tmp_path / "one"))
    export(Job.from_recipe(triple, recipe, Fitted(), tmp_path / "many", shard_size=1_000_000))
    assert raw(Checkpoint(tmp_path / "many")) == raw(Checkpoint(tmp_path / "one"))
    index = json.loads((tmp_path / "many/model.safetensors.index.json").read_text())
    files = sorted(set(index["weight_map"].values()))
    count = len(files)
    assert count >= 5
    assert files == [f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    assert index["metadata"]["total_size"] == sum(
        h.bytes for h in Checkpoint(tmp_path / "one").tensors.values()
    )
    again = Triple.open(triple.base_folder, tmp_path / "many", triple.lrm_folder)
    export(Job.from_recipe(again, Recipe.make(again, "vlm"), Fitted(), tmp_path / "kept"))
    for name in (*files, "model.safetensors.index.json"):
        assert (tmp_path / "kept" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


def test_dtype_is_that_of_merged_tensors_alone(triple: Triple, tmp_path: Path) -> None:
    export(make_job(triple, tmp_path / "out", dtype="F16", scope="mat"))
    before, after = raw(triple.checkpoints["vlm"]), raw(Checkpoint(tmp_path / "out"))
    merged = {triple.stored(name) for name in triple.names("mat")}
    assert {name for name, (dtype, _, _) in after.items() if dtype == "F16"} == merged
    assert all(after[name] == before[name] for name in set(before) - merged)
    expected = dict(on_load.merge(triple, Recipe.make(triple, "inject")))
    for name, tensor in expected.items():
        assert after[triple.stored(name)][2] == tensor.half().numpy().tobytes()
    loaded(tmp_path / "out")


def test_a_value_out_of_range_is_named(
    copied_folders: dict[str, Path], edit_weights: Callable, tmp_path: Path
) -> None:
    def large(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.1.self_attn.q_proj.weight"][0, 0] = 1e30

    edit_weights(copied_folders["vlm"], large)
    with pytest.raises(UserError, match=r"layers\.1\.self_attn\.q_proj\.weight .*outside the range of F16"):
        export(make_job(Triple.open(**copied_folders), tmp_path / "out", dtype="F16"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("method", ["inject", "ties"])
def test_a_source_that_is_not_finite_is_named(
    copied_folders: dict[str, Path], edit_weights: Callable, tmp_path: Path, role: str, method: str
) -> None:
    def damage(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.1.mlp.up_proj.weight"][3, 1] = float("nan")

    edit_weights(copied_folders[role], damage)
    triple = Triple.open(**copied_folders)
    message = rf"{role}/model\.safetensors: tensor model\.layers\.1\.mlp\.up_proj\.weight has 1 NaN"
    with pytest.raises(UserError, match=message):
        export(make_job(triple, tmp_path / "out", method))
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match=message):
        on_load.load(triple, Recipe.make(triple, method))


KILLED = """
import os, signal
from pathlib import Path
from frism.merging.export import Job, export
from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple
triple = Triple.open({base!r}, {vlm!r}, {lrm!r})
written = 0
def progress(size):
    global written
    written += size
    if written > {after}:
        os.kill(os.getpid(), signal.SIGKILL)
job = Job(triple, "inject", {{"strength": 0.3}}, "mat", Path({out!r}), shard_size=500_000, threads=2)
export(job, progress)
"""


def test_a_killed_merge_is_taken_up_where_it_was(triple: Triple, tmp_path: Path) -> None:
    paths = {role: str(triple.checkpoints[role].folder) for role in ROLES}
    program = KILLED.format(**paths, out=str(tmp_path / "out"), after=3_000_000)
    killed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not (tmp_path / "out").exists()
    scratch = tmp_path / ".out.partial"
    complete = {path.name: path.stat() for path in scratch.glob("*.safetensors")}
    receipts = {path.stem for path in (scratch / "receipts").glob("*.json")}
    assert len(complete) >= 2
    assert len(complete) - len(receipts) in (0, 1)
    # A file that was touched after it was complete is not believed.
    touched = sorted(receipts)[0]
    with (scratch / touched).open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\xff")
    job = make_job(triple, tmp_path / "out", params={"strength": 0.3}, shard_size=500_000)
    outcome = export(job)
    assert not scratch.exists()
    plain = make_job(triple, tmp_path / "plain", params={"strength": 0.3}, shard_size=500_000)
    whole = export(plain)
    assert outcome.changes == whole.changes
    for path in (tmp_path / "plain").rglob("*"):
        if path.is_file() and path.name != "README.md":
            other = tmp_path / "out" / path.relative_to(tmp_path / "plain")
            assert other.read_bytes() == path.read_bytes(), path.name
    kept = {name for name in complete if (tmp_path / "out" / name).stat().st_ino == complete[name].st_ino
            and (tmp_path / "out" / name).stat().st_mtime_ns == complete[name].st_mtime_ns}  # fmt: skip
    assert kept == receipts - {touched}


def test_a_half_done_folder_of_another_merge_is_not_taken_up(triple: Triple, tmp_path: Path) -> None:
    paths = {role: str(triple.checkpoints[role].folder) for role in ROLES}
    program = KILLED.format(**paths, out=str(tmp_path / "out"), after=3_000_000)
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)
    recipe = Recipe.make(triple, "inject", {"strength": 0.9})
    export(Job.from_recipe(triple, recipe, Fitted(), tmp_path / "out", shard_size=500_000))
    check_export(triple, recipe, tmp_path / "out")


def test_a_full_disk_leaves_nothing_under_the_name(triple: Triple, tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))"
    arguments = ["merge", *folders_of(triple), "--method", "inject", "--out", tmp_path / "out"]
    refused = frism(*arguments, before=limit)
    assert refused.returncode == 2, refused.stderr
    assert re.fullmatch(
        r"error: cannot write .*\.out\.partial/model\.safetensors\.part: .*ulimit.*\n", refused.stderr
    )
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / ".out.partial").glob("*.safetensors*")) == []
    taken_up = frism(*arguments)
    assert taken_up.returncode == 0, taken_up.stderr
    assert not (tmp_path / ".out.partial").exists()


def test_space_is_asked_for_before_anything_is_written(
    triple: Triple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(exporting.shutil, "disk_usage", lambda _: usage._replace(free=5_000_000))
    with pytest.raises(UserError, match=r"out needs 0\.01 GB and 0\.01 GB are free there: free some space"):
        export(make_job(triple, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_disk_that_fills_up_on_the_way(
    triple: Triple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, written = os.pwrite, []

    def pwrite(descriptor: int, block: memoryview, start: int) -> int:
        written.append(len(block))
        if len(written) > 40:
            raise OSError(28, "No space left on device")
        return plain(descriptor, block, start)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(UserError, match="the disk is full: free some space and run again"):
        export(make_job(triple, tmp_path / "out", shard_size=500_000))
    monkeypatch.undo()
    scratch = tmp_path / ".out.partial"
    assert list(scratch.glob("*.part")) == []
    assert list(scratch.glob("*.safetensors"))
    export(make_job(triple, tmp_path / "out", shard_size=500_000))


def test_a_name_that_is_taken_or_in_use_is_refused(triple: Triple, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export(make_job(triple, tmp_path / "out"))  # an empty folder is as good as none
    with pytest.raises(UserError, match="out exists already"):
        export(make_job(triple, tmp_path / "out"))
    job = make_job(triple, tmp_path / "other")
    with (
        exporting._lock_scratch(tmp_path / ".other.partial", "key"),
        pytest.raises(UserError, match="another process is writing"),
    ):
        export(job)


def test_file_systems_that_cannot_copy_for_us(
    triple: Triple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(make_job(triple, tmp_path / "one"))

    def refuse(*_: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    export(make_job(triple, tmp_path / "two"))
    assert (tmp_path / "one/model.safetensors").read_bytes() == (
        tmp_path / "two/model.safetensors"
    ).read_bytes()


def test_command_merges_and_a_dry_run_writes_nothing(triple: Triple, tmp_path: Path) -> None:
    arguments = ["merge", *folders_of(triple), "--method", "ties", "--set", "density=0.5",
                 "--set", "strength=1", "--scope", "mat+bias", "--out", tmp_path / "out"]  # fmt: skip
    planned = CliRunner().invoke(app, [*map(str, arguments), "--dry-run", "--shard-size", "1MB"])
    assert planned.exit_code == 0, planned.stderr
    assert "model-00001-of-" in planned.stdout
    assert "vision tower" in planned.stdout
    assert list(tmp_path.iterdir()) == []
    merged = frism(*arguments)
    assert merged.returncode == 0, merged.stderr
    assert re.search(r"60 tensors merged, \d+ copied, 0 skipped; injected norm", merged.stdout)
    recipe = Recipe.make(triple, "ties", {"density": 0.5, "strength": 1}, scope="mat+bias")
    assert Recipe.load(tmp_path / "out")[0] == recipe
    check_export(triple, recipe, tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "injct"], "unknown method 'injct'"),
        (["--method", "inject", "--set", "strenght=1"], "no parameter 'strenght'"),
        (["--method", "inject", "--set", "strength"], "--set strength is not an assignment"),
        (["--method", "inject", "--set", "strength=high"], "must be a number, not 'high'"),
        (["--method", "inject", "--scope", "everything"], "unknown scope 'everything'"),
        (["--method", "inject", "--scope", "all"], "scope 'all' is for text models"),
        (["--method", "inject", "--dtype", "int8"], "--dtype int8 is unknown"),
        (["--method", "inject", "--shard-size", "big"], "--shard-size big is not a size"),
        (["--method", "inject", "--device", "cuda:7"], "--device cuda:7 cannot be used"),
        (["--method", "frism"], "`frism export`"),
    ],
)
def test_command_refuses_in_one_sentence(
    triple: Triple, tmp_path: Path, arguments: list[str], message: str
) -> None:
    refused = CliRunner().invoke(
        app, ["merge", *folders_of(triple), "--out", str(tmp_path / "out"), *arguments]
    )
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: ")
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_pickled_parents_are_merged_when_asked_for(
    triple: Triple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path / "cache"))
    folder, pickled = triple.lrm_folder, tmp_path / "pickled"
    shutil.copytree(folder, pickled, ignore=shutil.ignore_patterns("*.safetensors*"))
    checkpoint = triple.checkpoints["lrm"]
    torch.save({name: checkpoint.read(name) for name in checkpoint.tensors}, pickled / "pytorch_model.bin")
    arguments = [word if word != str(folder) else str(pickled) for word in folders_of(triple)]
    command = ["merge", *arguments, "--method", "inject", "--out"]
    refused = CliRunner().invoke(app, [*command, str(tmp_path / "out")])
    assert refused.exit_code == 2
    assert "--allow-pickle" in refused.stderr
    merged = CliRunner().invoke(app, [*command, str(tmp_path / "out"), "--allow-pickle"])
    assert merged.exit_code == 0, merged.stderr
    plain = CliRunner().invoke(app, ["merge", *folders_of(triple), *command[-3:], str(tmp_path / "plain")])
    assert plain.exit_code == 0, plain.stderr
    assert raw(Checkpoint(tmp_path / "out")) == raw(Checkpoint(tmp_path / "plain"))


def test_plain_arithmetic_is_merged_without_torch(triple: Triple, tmp_path: Path) -> None:
    """Importing torch takes longer, and more memory, than merging a small model."""
    after = "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules))"
    for method, expected in (("inject", "False"), ("layer_swap", "False"), ("dare_linear", "True")):
        merged = frism(
            "merge", *folders_of(triple), "--method", method, "--out", tmp_path / method, before=after
        )
        assert merged.returncode == 0, merged.stderr
        assert merged.stdout.split()[-1] == expected, method


def test_command_exports_a_fitted_variant(triple: Triple, tmp_path: Path) -> None:
    factors = [torch.tensor(0.01 * (1 + number)) for number in range(len(triple.names("mat")))]
    names = zip(triple.names("mat"), factors, strict=True)
    fitted = Fitted(tensors={name: {"factor": factor} for name, factor in names})
    recipe = Recipe.make(triple, "frism_matrix", fitted=fitted)
    recipe.save(tmp_path / "variant", fitted)
    exported = frism("export", tmp_path / "variant", *folders_of(triple), "--out", tmp_path / "out")
    assert exported.returncode == 0, exported.stderr
    again, coefficients = Recipe.load(tmp_path / "out")
    assert again == recipe
    assert all(torch.equal(value, fitted.flatten()[name]) for name, value in coefficients.flatten().items())
    model, filled = loaded(tmp_path / "out"), on_load.load(triple, recipe, fitted)
    for (name, tensor), other in zip(model.state_dict().items(), filled.state_dict().values(), strict=True):
        assert torch.equal(tensor, other), name
    swapped = [word.replace("--lrm", "--x").replace("--base", "--lrm").replace("--x", "--base")
               for word in folders_of(triple)]  # fmt: skip
    refused = frism("export", tmp_path / "variant", *swapped, "--out", tmp_path / "other")
    assert refused.returncode == 2
    assert "the recipe was made for another base" in refused.stderr


def test_numbers_that_follow_from_the_weights_are_fitted_on_the_spot(triple: Triple, tmp_path: Path) -> None:
    merged = frism("merge", *folders_of(triple), "--method", "metagpt", "--out", tmp_path / "out")
    assert merged.returncode == 0, merged.stderr
    recipe, fitted = Recipe.load(tmp_path / "out")
    squares = [
        sum((triple.read(role, n) - triple.read("base", n)).double().square().sum() for n in triple.names())
        for role in ("vlm", "lrm")
    ]
    shares = {"vlm": squares[0] / sum(squares), "lrm": squares[1] / sum(squares)}
    assert fitted.flatten().keys() == {"lrm", "vlm"}, "numbers of the whole model, not of every tensor"
    for role, share in shares.items():
        assert fitted.model[role].item() == pytest.approx(float(share), rel=1e-6)
    assert recipe == Recipe.make(triple, "metagpt", fitted=fitted)
    model, filled = loaded(tmp_path / "out"), on_load.load(triple, recipe, fitted)
    for (name, tensor), other in zip(model.state_dict().items(), filled.state_dict().values(), strict=True):
        assert torch.equal(tensor, other), name
    card = (tmp_path / "out/README.md").read_text()
    assert "with coefficients computed from the three checkpoints, without training" in card
    again = card.split("To make it again: `frism ")[1].split("`")[0]
    assert again.startswith("merge --vlm VLM --lrm LRM --base BASE --method metagpt")


@pytest.mark.parametrize(
    ("method", "needed"),
    [("frism", "calibration questions"), ("frism_uniform", "what another variant learned"),
     ("evolve_layers", "scores on dev questions")],
)  # fmt: skip
def test_what_needs_more_than_the_weights_is_refused(
    triple: Triple, tmp_path: Path, method: str, needed: str
) -> None:
    with pytest.raises(UserError, match=f"method {method} must be fitted with {needed} before it can merge"):
        export(make_job(triple, tmp_path / "out", method, params=find(method).validate({})))
    assert not (tmp_path / "out").exists()


def test_a_card_of_learned_gates_says_so(triple: Triple, tmp_path: Path) -> None:
    spectra = Spectra(triple)
    gates = {name: {"open": torch.rand(len(spectra.load(name).s))} for name in triple.names()}
    recipe = Recipe.make(triple, "frism", fitted=Fitted(tensors=gates))
    export(Job.from_recipe(triple, recipe, Fitted(tensors=gates), tmp_path / "out"))
    card = (tmp_path / "out/README.md").read_text()
    assert "with gates learned from calibration questions" in card
    assert "without training" not in card
    assert yaml.safe_load(card.split("---")[1])["tags"] == ["merge", "frism"]


def test_other_rope_frequencies_and_an_empty_task_vector_are_warned_of(
    copied_folders: dict[str, Path], tmp_path: Path
) -> None:
    config = copied_folders["lrm"] / "config.json"
    content = json.loads(config.read_text())
    content["rope_parameters"] = {**content.get("rope_parameters", {}), "rope_theta": 123.0}
    config.write_text(json.dumps(content))
    shutil.copy(copied_folders["base"] / "model.safetensors", copied_folders["lrm"])
    triple = Triple.open(**copied_folders)
    merged = frism("merge", *folders_of(triple), "--method", "inject", "--out", tmp_path / "out")
    assert merged.returncode == 0, merged.stderr
    report = json.loads((tmp_path / "out/frism/merge_report.json").read_text())
    rope, equal = report["warnings"]
    assert "rope_theta differs" in rope
    assert "other rotary frequencies" in rope
    assert equal.startswith("R equals B in every tensor of the scope")
    card = (tmp_path / "out/README.md").read_text()
    for sentence in (rope, equal):
        assert f"warning: {sentence}" in merged.stderr
        assert sentence in card
    assert "rope_theta differs" not in card.split("that a merge does not resolve")[-1].split("## What")[
        0
    ].replace(rope, "")


def test_a_hub_id_is_known_through_a_link(triple: Triple, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--Qwen--Qwen-Text/snapshots/abc"
    shutil.copytree(triple.lrm_folder, snapshot)
    (tmp_path / "lrm").symlink_to(snapshot)
    linked = Triple.open(triple.base_folder, triple.vlm_folder, tmp_path / "lrm")
    export(make_job(linked, tmp_path / "out"))
    head = yaml.safe_load((tmp_path / "out/README.md").read_text().split("---")[1])
    assert head["base_model"][1] == "Qwen/Qwen-Text"


def test_a_triple_as_it_should_be_has_no_warning(triple: Triple, tmp_path: Path) -> None:
    export(make_job(triple, tmp_path / "out"))
    assert json.loads((tmp_path / "out/frism/merge_report.json").read_text())["warnings"] == []
    assert "spoiled" not in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize("role", ["vlm", "base", "lrm"])
def test_an_out_inside_a_checkpoint_is_refused(copied_folders: dict[str, Path], role: str) -> None:
    triple = Triple.open(**copied_folders)
    before = sorted(copied_folders[role].rglob("*"))
    done = frism(
        "merge", *folders_of(triple), "--method", "inject", "--out", copied_folders[role] / "x" / "out"
    )
    assert done.returncode == 2
    assert f"lies inside {copied_folders[role]} ({role})" in done.stderr
    assert sorted(copied_folders[role].rglob("*")) == before
