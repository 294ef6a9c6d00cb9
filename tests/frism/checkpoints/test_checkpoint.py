"""Real checkpoint folders, whole and damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2ForCausalLM

from frism.checkpoints.checkpoint import Checkpoint
from frism.errors import UserError

Folders = dict[str, Path]
Q = "model.layers.0.self_attn.q_proj.weight"


def test_headers_and_tensors_equal_those_of_safetensors(triple_folders: Folders) -> None:
    checkpoint = Checkpoint(triple_folders["vlm"])
    expected = load_file(triple_folders["vlm"] / "model.safetensors")
    assert set(checkpoint.tensors) == set(expected)
    for name, tensor in expected.items():
        assert checkpoint.header(name).shape == tuple(tensor.shape)
        assert torch.equal(checkpoint.read(name), tensor)


@pytest.mark.parametrize("rows", [slice(0, 0), slice(0, 1), slice(3, 11), slice(-2, None), slice(5, 10**9)])
def test_rows_are_read_alone(triple_folders: Folders, rows: slice) -> None:
    checkpoint = Checkpoint(triple_folders["base"])
    for name in (Q, "model.norm.weight"):
        assert torch.equal(checkpoint.read(name, rows), checkpoint.read(name)[rows])


def test_what_is_read_begins_at_a_cache_line(triple_folders: Folders) -> None:
    checkpoint = Checkpoint(triple_folders["base"])
    assert {checkpoint.read(name).data_ptr() % 64 for name in checkpoint.tensors} == {0}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_its_stored_dtype(
    tmp_path: Path, triple_folders: Folders, dtype: torch.dtype
) -> None:
    model = Qwen2ForCausalLM.from_pretrained(triple_folders["base"], dtype=dtype)
    model.save_pretrained(tmp_path)
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.header(Q).dtype == {torch.bfloat16: "BF16", torch.float16: "F16"}[dtype]
    assert torch.equal(checkpoint.read(Q), model.get_parameter(Q))


def test_shards_hold_the_same_tensors(sharded: Path, triple_folders: Folders) -> None:
    single, several = Checkpoint(triple_folders["base"]), Checkpoint(sharded)
    assert len({header.file for header in several.tensors.values()}) > 1
    assert set(single.tensors) == set(several.tensors)
    assert all(torch.equal(single.read(name), several.read(name)) for name in single.tensors)


def test_digest_follows_content_of_what_is_loaded(copied_folders: Folders, triple_folders: Folders) -> None:
    folder = copied_folders["base"]
    digest = Checkpoint(folder).digest
    assert digest == Checkpoint(triple_folders["base"]).digest
    (folder / "README.md").write_text("prose does not count")
    assert Checkpoint(folder).digest == digest
    for name in ("config.json", "tokenizer.json", "chat_template.jinja"):
        before = Checkpoint(folder).digest
        (folder / name).write_text((folder / name).read_text() + " ")
        assert Checkpoint(folder).digest != before
    before = Checkpoint(folder).digest
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert Checkpoint(folder).digest != before


def test_missing_folder_config_and_weights(copied_folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        Checkpoint(tmp_path / "absent")
    (copied_folders["base"] / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"base has no weights \(model\.safetensors"):
        Checkpoint(copied_folders["base"])
    (copied_folders["base"] / "pytorch_model.bin").touch()
    with pytest.raises(UserError, match=r"pickled weights only \(pytorch_model\.bin\)"):
        Checkpoint(copied_folders["base"])
    (copied_folders["lrm"] / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json"):
        Checkpoint(copied_folders["lrm"])


@pytest.mark.parametrize("kept", [0, 4, 100, 20_000, -1])
def test_truncated_file_is_named(copied_folders: Folders, kept: int) -> None:
    path = copied_folders["base"] / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"base/model\.safetensors is truncated .*download it again"):
        Checkpoint(copied_folders["base"])


def test_pointer_file_is_recognised(copied_folders: Folders) -> None:
    path = copied_folders["base"] / "model.safetensors"
    path.write_text("version https://git-lfs\noid sha256:0\nsize 5\n")
    with pytest.raises(UserError, match="git-lfs pointer"):
        Checkpoint(copied_folders["base"])


def test_unknown_tensor_gets_a_suggestion(triple_folders: Folders) -> None:
    with pytest.raises(UserError, match=f"has no tensor .* Did you mean '{Q}'"):
        Checkpoint(triple_folders["base"]).read(Q.replace("q_proj", "q_prj"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_tensor_that_is_not_finite_is_named(
    copied_folders: Folders, edit_weights: Callable, value: float
) -> None:
    edit_weights(copied_folders["base"], lambda tensors: tensors[Q].view(-1)[:3].fill_(value))
    checkpoint = Checkpoint(copied_folders["base"])
    with pytest.raises(UserError, match=rf"model\.safetensors: tensor {Q} has 3 NaN or infinite values"):
        checkpoint.read(Q)


@pytest.fixture
def sharded(tmp_path: Path, triple_folders: Folders) -> Path:
    model = Qwen2ForCausalLM.from_pretrained(triple_folders["base"])
    model.save_pretrained(tmp_path / "sharded", max_shard_size="1MB")
    return tmp_path / "sharded"


def test_missing_and_truncated_shard(sharded: Path) -> None:
    shard = sorted(sharded.glob("model-*.safetensors"))[1]
    content = shard.read_bytes()
    shard.write_bytes(content[:-8])
    with pytest.raises(UserError, match=f"{shard.name} is truncated"):
        Checkpoint(sharded)
    shard.unlink()
    with pytest.raises(UserError, match=f"lacks the shard {shard.name}"):
        Checkpoint(sharded)


def test_index_that_disagrees_with_its_shards(sharded: Path) -> None:
    path = sharded / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    wrong = next(shard for shard in index["weight_map"].values() if shard != index["weight_map"][Q])
    path.write_text(json.dumps(index | {"weight_map": index["weight_map"] | {Q: wrong}}))
    with pytest.raises(UserError, match=f"{wrong} lacks the tensor {Q}"):
        Checkpoint(sharded)
    path.write_text(json.dumps(index | {"weight_map": index["weight_map"] | {Q: "../elsewhere.safetensors"}}))
    with pytest.raises(UserError, match="points outside its folder"):
        Checkpoint(sharded)
    path.write_text(json.dumps({"weight_map": {}}))
    with pytest.raises(UserError, match="has no weight_map"):
        Checkpoint(sharded)


def test_a_tensor_that_the_index_does_not_know(sharded: Path) -> None:
    """transformers would load it all the same."""
    shard = sorted(sharded.glob("model-*.safetensors"))[0]
    save_file(load_file(shard) | {"stray": torch.zeros(1)}, shard)
    with pytest.raises(UserError, match=f"{shard.name} holds the tensor stray, which the index does not put"):
        Checkpoint(sharded)


def test_an_empty_tensor_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    save_file({"empty": torch.zeros(0, 3), "scalar": torch.tensor(2.0)}, tmp_path / "model.safetensors")
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.read("empty").shape == (0, 3)
    assert checkpoint.read("scalar") == 2


def test_a_file_cut_short_after_it_was_opened(copied_folders: Folders) -> None:
    checkpoint = Checkpoint(copied_folders["base"])
    path = copied_folders["base"] / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100_000])
    last = list(checkpoint.tensors)[-1]
    with pytest.raises(UserError, match="became shorter while it was read"):
        checkpoint.read(last)


def test_a_stray_single_file_beside_an_index_is_refused(sharded: Path, triple_folders: Folders) -> None:
    """transformers would load it without a word, others the shards."""
    single = sharded / "model.safetensors"
    save_file(load_file(triple_folders["lrm"] / "model.safetensors"), single)
    with pytest.raises(UserError, match=r"holds model\.safetensors beside an index of other files.*move one"):
        Checkpoint(sharded)
    index = {"weight_map": dict.fromkeys(load_file(single), "model.safetensors")}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    assert torch.equal(Checkpoint(sharded).read(Q), Checkpoint(triple_folders["lrm"]).read(Q))


def test_an_overlay_shard_is_refused_with_its_remedy(sharded: Path) -> None:
    path = sharded / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    shard = index["weight_map"][Q]
    save_file({Q: load_file(sharded / shard)[Q] + 1}, sharded / "overlay.safetensors")
    path.write_text(json.dumps(index | {"weight_map": index["weight_map"] | {Q: "overlay.safetensors"}}))
    with pytest.raises(
        UserError, match=rf"{shard} and overlay\.safetensors both hold .*{Q}.*save_pretrained"
    ):
        Checkpoint(sharded)
