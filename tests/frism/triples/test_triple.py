"""Alignment of three real checkpoints: names, scopes, storage variants, and everything that can disagree."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from frism.errors import UserError
from frism.triples.triple import Triple

Folders = dict[str, Path]
Q = "layers.0.self_attn.q_proj.weight"


def test_scopes_hold_what_they_say(triple: Triple) -> None:
    matrices, biases, norms = (triple.names(scope) for scope in ("mat", "mat+bias", "mat+bias+norm"))
    assert triple.layers == 6
    assert len(matrices) == 7 * 6
    assert set(biases) - set(matrices) == {
        f"layers.{layer}.self_attn.{m}_proj.bias" for layer in range(6) for m in "qkv"
    }
    assert set(norms) - set(biases) == {"norm.weight"} | {
        f"layers.{layer}.{n}_layernorm.weight" for layer in range(6) for n in ("input", "post_attention")
    }
    assert [triple.layer(name) for name in matrices] == [layer for layer in range(6) for _ in range(7)]
    assert triple.layer("norm.weight") is None
    attention, mlp, without = (triple.names(scope) for scope in ("mat_attn", "mat_mlp", "mat_no_qk"))
    assert set(attention) | set(mlp) == set(matrices) and not set(attention) & set(mlp)
    assert all("self_attn" in name for name in attention) and all(".mlp." in name for name in mlp)
    assert set(matrices) - set(without) == {
        f"layers.{layer}.self_attn.{m}_proj.weight" for layer in range(6) for m in "qk"
    }


def test_values_are_those_of_the_loaded_models(triple: Triple) -> None:
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(triple.vlm_folder, dtype=torch.float32)
    tower = model.get_submodule(triple.towers["vlm"].module)
    for name in triple.names("mat+bias+norm"):
        assert torch.equal(triple.read("vlm", name), tower.get_parameter(name))
        assert triple.read("base", name).dtype == torch.float32


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shards", ["5GB", "1MB"])
@pytest.mark.parametrize("hub_names", [True, False])
def test_storage_variants_of_the_vlm_read_alike(
    triple: Triple, triple_folders: Folders, tmp_path: Path, hub_names: bool, shards: str, tied: bool
) -> None:
    vlm = Qwen2_5_VLForConditionalGeneration.from_pretrained(triple.vlm_folder, dtype=torch.float32)
    if not tied:
        vlm.config.tie_word_embeddings = vlm.config.text_config.tie_word_embeddings = False
        vlm.lm_head.weight = torch.nn.Parameter(vlm.lm_head.weight.detach().clone())
    vlm.save_pretrained(tmp_path, max_shard_size=shards, save_original_format=hub_names)
    other = Triple.open(triple_folders["base"], tmp_path, triple_folders["lrm"])
    assert ("lm_head.weight" in other.checkpoints["vlm"].tensors) is not tied
    assert other.stored(Q) == ("model." if hub_names else "model.language_model.") + Q
    assert other.names("mat+bias+norm") == triple.names("mat+bias+norm")
    for name in triple.names("mat+bias+norm"):
        assert torch.equal(other.read("vlm", name), triple.read("vlm", name))


def test_missing_tensor_in_a_donor(copied_folders: Folders, edit_weights: Callable) -> None:
    edit_weights(copied_folders["lrm"], lambda tensors: tensors.pop("model." + Q))
    with pytest.raises(UserError, match=rf"lrm \(lrm\) lacks the tensor model\.{Q} \(1 missing"):
        Triple.open(**copied_folders)


def test_donor_with_more_layers(copied_folders: Folders, edit_weights: Callable) -> None:
    extra = "model.layers.6.self_attn.q_proj.weight"
    edit_weights(copied_folders["base"], lambda tensors: tensors.update({extra: torch.zeros(128, 128)}))
    with pytest.raises(UserError, match=f"has the tensor {extra}, which .*vlm.* lacks"):
        Triple.open(**copied_folders)


def test_wrong_shape_names_file_tensor_and_both_shapes(
    copied_folders: Folders, edit_weights: Callable
) -> None:
    edit_weights(copied_folders["base"], lambda tensors: tensors.update({"model." + Q: torch.zeros(128, 64)}))
    with pytest.raises(
        UserError, match=r"base/model\.safetensors: tensor .*q_proj.* \[128, 64\].* \[128, 128\]"
    ):
        Triple.open(**copied_folders)


def test_misalignment_outside_the_scope_is_no_error_in_it(
    copied_folders: Folders, edit_weights: Callable
) -> None:
    edit_weights(copied_folders["lrm"], lambda tensors: tensors.pop("model.norm.weight"))
    triple = Triple.open(**copied_folders)
    with pytest.raises(UserError, match=r"model\.norm\.weight"):
        triple.names("mat+bias+norm")


def test_nan_in_a_tensor_is_found_when_it_is_read(copied_folders: Folders, edit_weights: Callable) -> None:
    edit_weights(copied_folders["lrm"], lambda tensors: tensors["model." + Q].view(-1)[0].fill_(float("nan")))
    triple = Triple.open(**copied_folders)
    with pytest.raises(UserError, match=rf"lrm/model\.safetensors: tensor model\.{Q} has 1 NaN"):
        triple.read("lrm", Q)


def test_swapped_order_unknown_scope_and_foreign_architecture(copied_folders: Folders) -> None:
    with pytest.raises(UserError, match="not a vision-language model"):
        Triple.open(copied_folders["vlm"], copied_folders["base"], copied_folders["lrm"])
    with pytest.raises(UserError, match=r"unknown scope 'matt'.*Did you mean 'mat'"):
        Triple.open(**copied_folders, scope="matt")
    edit_config(copied_folders["lrm"], model_type="mamba")
    with pytest.raises(UserError, match=r"lrm.*model_type 'mamba'.*not supported"):
        Triple.open(**copied_folders)


def test_head_count_must_agree_and_rope_base_is_noted(copied_folders: Folders) -> None:
    rope = {"rope_type": "default", "rope_theta": 1e6}
    edit_config(copied_folders["lrm"], rope_parameters=rope)
    assert any(d.rotary and "1000000" in d.sentence for d in Triple.open(**copied_folders).differences())
    edit_config(copied_folders["lrm"], num_attention_heads=8)
    with pytest.raises(UserError, match=r"num_attention_heads in config\.json differs"):
        Triple.open(**copied_folders)


def test_flat_config_of_older_checkpoints_is_read(copied_folders: Folders, triple: Triple) -> None:
    path = copied_folders["vlm"] / "config.json"
    config = json.loads(path.read_text())
    text = config.pop("text_config")
    path.write_text(json.dumps(text | config))
    older = Triple.open(**copied_folders)
    assert older.differences() == triple.differences()
    edit_config(copied_folders["vlm"], num_key_value_heads=1)
    with pytest.raises(UserError, match="num_key_value_heads"):
        Triple.open(**copied_folders)


def test_digest_names_each_checkpoint(triple: Triple) -> None:
    assert set(triple.digest) == {"base", "vlm", "lrm"}
    assert len(set(triple.digest.values())) == 3


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
