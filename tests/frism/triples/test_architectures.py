"""Every architecture of the table, in both namings, sharded and single, tied and untied: names and fates."""

import re
from pathlib import Path

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from frism.checkpoints.checkpoint import Checkpoint
from frism.errors import UserError
from frism.triples.accounting import account, tally
from frism.triples.architectures import ARCHITECTURES, TEXTS
from frism.triples.facts import read_facts
from frism.triples.scopes import WIDEST_SCOPE
from frism.triples.triple import ROLES, Triple
from tests.support import architectures

WHOLE = [(family, naming, shards, tied)
         for family in architectures.FAMILIES
         for naming in ("hub", "memory")
         for shards in (False, True)
         for tied in (False, True)]  # fmt: skip


def opened(folder: Path, **options: bool) -> Triple:
    return Triple.open(**{role: folder / role for role in ROLES}, **options)


def loaded(folder: Path, kind: type = AutoModelForImageTextToText) -> torch.nn.Module:
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return model


def test_the_makers_cover_the_table() -> None:
    made = {family.text for family in architectures.FAMILIES.values()}
    assert made == set(TEXTS) == set(architectures.TEXTS)
    receivers = {getattr(transformers, known.config).model_type for known in architectures.FAMILIES.values()}
    assert receivers | made == set(ARCHITECTURES)


@pytest.mark.parametrize(("family", "naming", "shards", "tied"), WHOLE)
def test_canonical_names_are_those_of_the_loaded_models(
    tmp_path: Path, family: str, naming: architectures.Naming, shards: bool, tied: bool
) -> None:
    architectures.make(family, tmp_path, naming, shards, tied)
    triple = opened(tmp_path)
    assert triple.layers == architectures.LAYERS
    models = {
        "vlm": loaded(tmp_path / "vlm"),
        "base": loaded(tmp_path / "base", AutoModelForCausalLM),
        "lrm": loaded(tmp_path / "lrm", AutoModelForCausalLM),
    }
    names = triple.names(WIDEST_SCOPE)
    for name in names:
        assert torch.equal(triple.read("vlm", name), models["vlm"].get_parameter(triple.parameter_name(name)))
        for role in ("base", "lrm"):
            assert torch.equal(triple.read(role, name), models[role].get_parameter(f"model.{name}"))
    # The widest scope is the text model without embedding and head: nothing of it is missed.
    outside = {"model.embed_tokens.weight", "lm_head.weight"}
    assert {f"model.{name}" for name in names} == {n for n, _ in models["base"].named_parameters()} - outside

    entries = account(triple, WIDEST_SCOPE)
    assert [entry.stored for entry in entries] == list(triple.checkpoints["vlm"].tensors)
    assert {entry.name for entry in entries if entry.fate == "merged"} == set(names)
    # Reload maps the stored names to those in memory: each counted once, the tied head stored nowhere.
    counts = {fate: sum(reasons.values()) for fate, reasons in tally(entries).items()}
    parameters = dict(models["vlm"].named_parameters())
    assert sum(counts.values()) == len(parameters) + len(list(_stored_buffers(models["vlm"])))
    assert (counts["skipped"] > 0) == (family == "mllama")


def _stored_buffers(model: torch.nn.Module) -> set[str]:
    return set(model.state_dict(keep_vars=True)) - {
        name for name, _ in model.named_parameters(remove_duplicate=False)
    }


def test_mllama_maps_around_its_cross_attention_layers(tmp_path: Path) -> None:
    architectures.make("mllama", tmp_path)
    triple = opened(tmp_path)
    stored = [triple.stored(f"layers.{layer}.mlp.up_proj.weight") for layer in range(3)]
    assert stored == [f"language_model.model.layers.{layer}.mlp.up_proj.weight" for layer in (0, 2, 4)]
    assert triple.parameter_name("layers.1.input_layernorm.weight") == (
        "model.language_model.layers.2.input_layernorm.weight"
    )
    skipped = [entry.stored for entry in account(triple, WIDEST_SCOPE) if entry.fate == "skipped"]
    assert {re.search(r"layers\.(\d)", name)[1] for name in skipped} == {"1", "3"}
    assert any(name.endswith("mlp.up_proj.weight") for name in skipped)
    assert triple.header("vlm", "embed_tokens.weight").shape[0] == architectures.VOCABULARY + 8


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("tied", [False, True])
def test_text_models_merge_whole_when_asked(tmp_path: Path, kind: str, tied: bool) -> None:
    for seed, role in enumerate(ROLES):
        architectures.text_model(kind, tied, seed).save_pretrained(tmp_path / role)
    with pytest.raises(UserError, match="not a vision-language model"):
        opened(tmp_path)
    triple = opened(tmp_path, text_receiver=True)
    model = loaded(tmp_path / "vlm", AutoModelForCausalLM)
    names = triple.names("all")
    assert {triple.parameter_name(name) for name in names} == {name for name, _ in model.named_parameters()}
    for name in names:
        assert torch.equal(triple.read("vlm", name), model.get_parameter(triple.parameter_name(name)))
    assert {entry.fate for entry in account(triple, "all")} == {"merged"}
    assert triple.widest_scope == "all"


def test_a_tied_donor_lends_its_embedding_as_head(tmp_path: Path) -> None:
    for seed, (role, tied) in enumerate({"base": True, "vlm": False, "lrm": False}.items()):
        architectures.text_model("qwen2", tied, seed).save_pretrained(tmp_path / role)
    triple = opened(tmp_path, text_receiver=True)
    assert triple.stored("lm_head.weight", "base") == "model.embed_tokens.weight"
    assert torch.equal(triple.read("base", "lm_head.weight"), triple.read("base", "embed_tokens.weight"))
    assert any(d.key == "tie_word_embeddings" for d in triple.differences())


def test_a_bare_text_model_has_names_without_prefix(tmp_path: Path) -> None:
    """What AutoModel saves, without a head, aligns with what AutoModelForCausalLM saves."""
    architectures.make("llava_onevision", tmp_path, tied=True)
    bare = transformers.AutoModel.from_pretrained(tmp_path / "base")
    expected = opened(tmp_path)
    bare.save_pretrained(tmp_path / "bare")
    triple = Triple.open(tmp_path / "bare", tmp_path / "vlm", tmp_path / "lrm")
    name = "layers.1.mlp.gate_proj.weight"
    assert triple.stored(name, "base") == name
    assert triple.names(WIDEST_SCOPE) == expected.names(WIDEST_SCOPE)
    assert torch.equal(triple.read("base", name), expected.read("base", name))


def test_scope_all_is_not_for_a_vlm(tmp_path: Path) -> None:
    architectures.make("llava", tmp_path)
    with pytest.raises(UserError, match="scope 'all' is for text models"):
        Triple.open(**{role: tmp_path / role for role in ROLES}, scope="all")


@pytest.mark.parametrize("family", architectures.FAMILIES)
def test_facts_are_what_transformers_reads(tmp_path: Path, family: str) -> None:
    architectures.make(family, tmp_path)
    facts = {role: read_facts(Checkpoint(tmp_path / role)) for role in ROLES}
    assert facts["base"] == facts["lrm"]
    config = AutoModelForImageTextToText.from_pretrained(tmp_path / "vlm").config.get_text_config()
    assert facts["vlm"].num_hidden_layers == facts["base"].num_hidden_layers == architectures.LAYERS
    for key in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads"):
        assert getattr(facts["vlm"], key) == getattr(config, key)
    rope = config.rope_parameters
    assert facts["vlm"].rope_theta == rope.get("full_attention", rope)["rope_theta"]


def test_a_stray_tensor_is_an_error(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    architectures.make("idefics2", tmp_path)
    path = tmp_path / "vlm" / "model.safetensors"
    save_file(load_file(path) | {"model.text_model.layers.0.self_attn.w_pack.weight": torch.zeros(2)}, path)
    with pytest.raises(UserError, match=r"w_pack\.weight is not a known part of a idefics2"):
        account(opened(tmp_path))
