"""Local folders, hub ids out of a real offline cache, and pickles that are converted on demand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from frism.checkpoints.checkpoint import Checkpoint
from frism.checkpoints.hub import locate
from frism.errors import UserError
from tests.support import architectures

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("source")
    architectures.make("qwen2_5_vl", root, shards=True)
    return root / "base"


@pytest.fixture
def cache(tmp_path: Path, folder: Path) -> Path:
    """The hub library's own layout: blobs, and a snapshot of links to them."""
    repository = tmp_path / "hub" / "models--owner--tiny"
    snapshot = repository / "snapshots" / COMMIT
    for part in (repository / "blobs", repository / "refs", snapshot):
        part.mkdir(parents=True)
    for number, path in enumerate(sorted(folder.iterdir())):
        (repository / "blobs" / str(number)).write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    for name in ("main", "v1"):
        (repository / "refs" / name).write_text(COMMIT)
    return tmp_path / "hub"


def offline(cache: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own: the hub library reads its settings when it is imported."""
    environment = os.environ | {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


@pytest.mark.parametrize("source", ["owner/tiny", "owner/tiny@v1", f"owner/tiny@{COMMIT}"])
def test_hub_id_from_the_offline_cache(cache: Path, folder: Path, source: str) -> None:
    code = (
        "from frism.checkpoints.checkpoint import Checkpoint\n"
        f"checkpoint = Checkpoint.open({source!r})\n"
        "print(checkpoint.folder.name, len(checkpoint.tensors), checkpoint.digest)"
    )
    result = offline(cache, code)
    expected = Checkpoint(folder)
    assert result.stdout.split() == [COMMIT, str(len(expected.tensors)), expected.digest], result.stderr


@pytest.mark.parametrize("source", ["owner/absent", "owner/tiny@v2"])
def test_absent_hub_id_is_one_sentence(cache: Path, source: str) -> None:
    code = (
        "from frism.errors import report_errors\nfrom frism.checkpoints.checkpoint import Checkpoint\n"
        f"with report_errors():\n    Checkpoint.open({source!r})"
    )
    result = offline(cache, code)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {source} is neither a folder nor in the local hub cache")
    assert result.stderr.count("\n") == 1


def test_an_incomplete_snapshot_is_named(cache: Path) -> None:
    snapshot = cache / "models--owner--tiny" / "snapshots" / COMMIT
    next(snapshot.glob("model-00002*")).unlink()
    code = (
        "from frism.errors import report_errors\nfrom frism.checkpoints.checkpoint import Checkpoint\n"
        "with report_errors():\n    Checkpoint.open('owner/tiny')"
    )
    result = offline(cache, code)
    assert result.returncode == 2
    assert "lacks the shard model-00002-of" in result.stderr


def test_folders_and_revisions(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert locate(folder) == folder
    with pytest.raises(UserError, match="local folder, which has no revisions"):
        locate(folder, "v1")
    with pytest.raises(UserError, match="is not a folder"):
        locate(tmp_path / "absent")
    with pytest.raises(UserError, match="names the revision v1, but the revision given is v2"):
        locate("owner/tiny@v1", "v2")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "tiny").mkdir(parents=True)
    assert locate("owner/tiny") == Path("owner/tiny")


@pytest.fixture
def pickled(tmp_path: Path, folder: Path) -> Path:
    """The same checkpoint as two pickles and their index."""
    target = tmp_path / "pickled"
    target.mkdir()
    (target / "config.json").write_bytes((folder / "config.json").read_bytes())
    tensors = {
        name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()
    }
    names = sorted(tensors)
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"pytorch_model-{number:05d}-of-00002.bin"
        torch.save({name: tensors[name] for name in part}, target / file)
        weight_map |= dict.fromkeys(part, file)
    (target / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return target


def test_pickles_are_read_when_asked_for(
    pickled: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path / "converted"))
    with pytest.raises(UserError, match=r"pickled weights only .*--allow-pickle"):
        Checkpoint.open(pickled)
    expected = Checkpoint(folder)
    for _ in range(2):  # converted, then found
        checkpoint = Checkpoint.open(pickled, allow_pickle=True)
        assert set(checkpoint.tensors) == set(expected.tensors)
        assert all(torch.equal(checkpoint.read(name), expected.read(name)) for name in expected.tensors)
    assert len(list((tmp_path / "converted" / "converted").iterdir())) == 1
    assert not list(pickled.glob("*.safetensors"))


def test_one_pickle_in_the_old_format_with_tied_tensors(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path / "converted"))
    target = tmp_path / "old"
    target.mkdir()
    (target / "config.json").write_bytes((folder / "config.json").read_bytes())
    shared = torch.arange(6.0).reshape(2, 3)
    torch.save(
        {"model.embed_tokens.weight": shared, "lm_head.weight": shared, "t": shared.T},
        target / "pytorch_model.bin", _use_new_zipfile_serialization=False,
    )  # fmt: skip
    checkpoint = Checkpoint.open(target, allow_pickle=True)
    assert torch.equal(checkpoint.read("lm_head.weight"), shared)
    assert torch.equal(checkpoint.read("t"), shared.T)


def test_a_pickle_that_runs_code_is_refused(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path / "converted"))
    target = tmp_path / "evil"
    target.mkdir()
    (target / "config.json").write_bytes((folder / "config.json").read_bytes())
    torch.save({"w": Touch(tmp_path / "ran")}, target / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model\.bin holds more than tensors"):
        Checkpoint.open(target, allow_pickle=True)
    assert not (tmp_path / "ran").exists()
    assert not list((tmp_path / "converted" / "converted").iterdir())


class Touch:
    """Pickles as an instruction to create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("~/models") == tmp_path / "models"
