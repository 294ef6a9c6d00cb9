"""Wrong triples and the reasons they are refused for; doubtful ones and what is said of them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from frism.checkpoints.checkpoint import Checkpoint
from frism.errors import UserError
from frism.inspection.verdict import judge
from frism.triples.compatibility import Difference, compare_configs, compare_tokenizers, find_refusals
from frism.triples.facts import read_facts
from frism.triples.triple import ROLES, Triple
from tests.support import architectures

FAMILY = "qwen2_5_vl"


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    architectures.make(FAMILY, tmp_path)
    return {role: tmp_path / role for role in ROLES}


def edit(folder: Path, name: str = "config.json", **changes: object) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def unchecked(folders: dict[str, Path]) -> Triple:
    return Triple({role: Checkpoint(folder) for role, folder in folders.items()}, "mat")


def save_text_model(folder: Path, kind: str = "qwen2", **changes: object) -> None:
    config = architectures.text_model(kind).config
    for key, value in changes.items():
        setattr(config, key, value)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hidden_size": 64}, r"hidden_size in config\.json differs \(base 32, vlm 32, lrm 64\)"),
        ({"num_hidden_layers": 2, "layer_types": ["full_attention"] * 2}, r"num_hidden_layers .*lrm 2"),
        ({"num_attention_heads": 8}, r"num_attention_heads .*lrm 8"),
        ({"num_key_value_heads": 4}, r"num_key_value_heads .*lrm 4"),
        ({"intermediate_size": 64}, r"intermediate_size .*lrm 64"),
    ],
)
def test_other_sizes_are_refused(folders: dict[str, Path], changes: dict, reason: str) -> None:
    save_text_model(folders["lrm"], **changes)
    with pytest.raises(UserError, match=reason):
        Triple.open(**folders)


def test_other_head_width_is_refused(tmp_path: Path) -> None:
    architectures.make("qwen3_vl", tmp_path)
    save_text_model(tmp_path / "base", "qwen3", head_dim=8)
    folders = {role: tmp_path / role for role in ROLES}
    with pytest.raises(UserError, match=r"head_dim differs \(base 8, vlm 16, lrm 16\)"):
        Triple.open(**folders)


def test_other_family_is_refused(folders: dict[str, Path]) -> None:
    save_text_model(folders["base"], "llama")
    with pytest.raises(UserError, match=r"different families \(base llama, vlm qwen2, lrm qwen2\)"):
        Triple.open(**folders)


def test_roles_are_checked(folders: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"vlm \(base\) is a vision-language model \(qwen2_5_vl\)"):
        Triple.open(folders["vlm"], folders["vlm"], folders["lrm"])
    with pytest.raises(UserError, match=r"vlm \(lrm\) is a vision-language model"):
        Triple.open(folders["base"], folders["vlm"], folders["vlm"])
    with pytest.raises(UserError, match=r"lrm \(vlm\) is a text model, not .* \(qwen2\)"):
        Triple.open(folders["base"], folders["lrm"], folders["lrm"])
    swapped = {"base": folders["vlm"], "vlm": folders["base"], "lrm": folders["lrm"]}
    assert len(list(find_refusals(unchecked(swapped).towers))) == 2  # every reason, not the first alone


def test_quantised_and_adapters_are_refused(folders: dict[str, Path]) -> None:
    edit(folders["lrm"], quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(UserError, match=r"lrm is quantised \(gptq\)"):
        Triple.open(**folders)
    (folders["base"] / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')
    with pytest.raises(UserError, match=r"base holds a LoRA adapter .* merge it into owner/base first"):
        Triple.open(**folders)
    for name in ("config.json", "model.safetensors"):  # the usual adapter folder has neither
        (folders["base"] / name).unlink()
    with pytest.raises(UserError, match="LoRA adapter"):
        Triple.open(**folders)


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_integer_and_fp8_weights_are_refused(folders: dict[str, Path], dtype: torch.dtype) -> None:
    path = folders["vlm"] / "model.safetensors"
    tensors = load_file(path)
    name = "model.layers.1.mlp.up_proj.weight"
    save_file(tensors | {name: tensors[name].to(dtype)}, path)
    with pytest.raises(UserError, match=r"layers\.1\.mlp\.up_proj\.weight is stored as .*quantised"):
        Triple.open(**folders)


def test_a_language_model_of_unknown_type_is_refused(tmp_path: Path) -> None:
    architectures.make("llava", tmp_path)
    path = tmp_path / "vlm" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"text_config": config["text_config"] | {"model_type": "phi3"}}))
    with pytest.raises(UserError, match="language model of this llava is 'phi3', which is not supported"):
        Triple.open(**{role: tmp_path / role for role in ROLES})


def test_other_tokenizer_family_is_refused(folders: dict[str, Path]) -> None:
    path = folders["lrm"] / "tokenizer.json"
    content = json.loads(path.read_text())
    words = list(content["model"]["vocab"])
    content["model"]["vocab"] = {word: place for place, word in enumerate(reversed(words))}
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"tokenizers of vlm and lrm are of different families \(\d+ of"):
        Triple.open(**folders)


def test_added_tokens_are_noted_and_tolerated(folders: dict[str, Path]) -> None:
    assert judge(Triple.open(**folders), "mat").status == "ok"
    notes = compare_tokenizers(unchecked(folders).towers)
    assert [note.partition(":")[0] for note in notes] == ["base", "lrm"]
    assert all('95 is "<image>" in V, "" in' in note for note in notes)
    (folders["base"] / "tokenizer.json").unlink()
    assert any("base has no tokenizer.json" in note for note in compare_tokenizers(unchecked(folders).towers))


@pytest.mark.parametrize(
    ("rope", "said"),
    [
        (
            {"rope_type": "default", "rope_theta": 1e6},
            "rope_theta differs: base 10000.0, vlm 10000.0, lrm 1000000.0",
        ),
        (
            {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0},
            "rope_scaling differs: base none, vlm none, lrm yarn factor 4.0",
        ),
    ],
)
def test_rope_mismatch_is_a_warning(folders: dict[str, Path], rope: dict, said: str) -> None:
    edit(folders["lrm"], rope_parameters=rope)
    verdict = judge(Triple.open(**folders), "mat")
    assert verdict.status == "ok with warnings"
    assert any(warning.startswith(said) for warning in verdict.warnings)


def test_severity_does_not_depend_on_the_wording(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(folders["lrm"], rope_parameters={"rope_type": "default", "rope_theta": 1e6}, vocab_size=999)
    triple = Triple.open(**folders)
    before = judge(triple, "mat")
    plain = Difference.__init__
    monkeypatch.setattr(Difference, "__init__", lambda self, key, sentence: plain(self, key, "Reworded."))
    after = judge(triple, "mat")
    assert [len(before.warnings), len(before.notes)] == [len(after.warnings), len(after.notes)]
    assert any("rotary" in warning for warning in after.warnings) and "Reworded." in after.notes


def test_rope_of_older_configs_reads_alike(folders: dict[str, Path]) -> None:
    expected = read_facts(Checkpoint(folders["vlm"]))
    path = folders["vlm"] / "config.json"
    config = json.loads(path.read_text())
    text = config["text_config"]
    rope = text.pop("rope_parameters")
    text |= {"rope_theta": rope["rope_theta"], "rope_scaling": {"type": "mrope", "mrope_section": [2, 1, 1]}}
    path.write_text(json.dumps(config))
    assert read_facts(Checkpoint(folders["vlm"])) == expected


def test_defaults_that_a_config_leaves_out_come_from_its_class(tmp_path: Path) -> None:
    """LLaVA-1.5's text_config names neither sizes nor heads: they are those of LlamaConfig."""
    architectures.make("llava", tmp_path)
    path = tmp_path / "vlm" / "config.json"
    config = json.loads(path.read_text())
    config["text_config"] = {"model_type": "llama", "vocab_size": 96, "max_position_embeddings": 4096}
    path.write_text(json.dumps(config))
    facts = read_facts(Checkpoint(tmp_path / "vlm"))
    assert (facts.hidden_size, facts.num_hidden_layers, facts.num_attention_heads) == (4096, 32, 32)
    assert (facts.num_key_value_heads, facts.vocab_size, facts.rope_theta) == (32, 96, 10_000.0)
    with pytest.raises(UserError, match=r"hidden_size in config\.json differs"):
        Triple.open(**{role: tmp_path / role for role in ROLES})


def test_a_sparse_config_is_no_difference(tmp_path: Path) -> None:
    """PaliGemma's text_config names sizes only; the rest must not look different from Gemma's own config."""
    architectures.make("paligemma", tmp_path)
    path = tmp_path / "vlm" / "config.json"
    config = json.loads(path.read_text())
    kept = ("model_type", "hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers",
            "num_key_value_heads", "vocab_size", "head_dim")  # fmt: skip
    path.write_text(json.dumps(config | {"text_config": {key: config["text_config"][key] for key in kept}}))
    triple = Triple.open(**{role: tmp_path / role for role in ROLES})
    assert [d for d in triple.differences() if d.key != "tie_word_embeddings"] == []


def test_missing_biases_are_a_warning_where_the_scope_leaves_them_out(
    folders: dict[str, Path], edit_weights: Callable
) -> None:
    def drop(tensors: dict) -> None:
        for name in [name for name in tensors if name.endswith("q_proj.bias")]:
            del tensors[name]

    edit_weights(folders["lrm"], drop)
    verdict = judge(Triple.open(**folders), "mat")
    assert any("V and lrm do not have the same bias tensors (3 differ" in w for w in verdict.warnings)
    refused = judge(Triple.open(**folders), "mat+bias")
    assert refused.status == "refused"
    assert "q_proj.bias" in refused.refusals[0]


def test_mllama_rows_beyond_the_vocabulary_change_no_fact(tmp_path: Path) -> None:
    architectures.make("mllama", tmp_path)
    triple = Triple.open(**{role: tmp_path / role for role in ROLES})
    assert compare_configs(triple.towers) == []
    assert judge(triple, "mat+bias+norm").status == "ok"
