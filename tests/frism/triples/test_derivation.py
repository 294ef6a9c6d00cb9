"""Layouts derived from transformers: equal to the table where there is one, exact or refused elsewhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, initialization
from transformers.models.auto import modeling_auto

from frism.checkpoints.checkpoint import Checkpoint
from frism.distillation.receiver import Receiver
from frism.errors import UserError
from frism.merging import on_load
from frism.merging.export import Job, export
from frism.method.discovery import find
from frism.method.recipe import Recipe
from frism.triples.architectures import ALIASES, ARCHITECTURES
from frism.triples.derived_tower import DerivedTower
from frism.triples.layout import derive_layout
from frism.triples.listed_tower import ListedTower
from frism.triples.scopes import WIDEST_SCOPE
from frism.triples.towers import open_tower
from frism.triples.triple import ROLES, Triple
from tests.support import architectures, every_vlm

LISTED = [family for family in architectures.FAMILIES if family != "mllama"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def edit_weights(folder: Path, change: object) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("naming", ["hub", "memory"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("family", LISTED)
def test_what_is_derived_equals_the_table(
    tmp_path: Path, family: str, tied: bool, naming: architectures.Naming
) -> None:
    architectures.make(family, tmp_path, naming, tied=tied)
    for role in ROLES:
        checkpoint = Checkpoint(tmp_path / role)
        table, derived = (
            open_tower(checkpoint, role),
            DerivedTower(checkpoint, role, derive_layout(checkpoint)),
        )
        assert isinstance(table, ListedTower)
        assert derived.names == table.names
        assert (derived.is_vlm, derived.module) == (table.is_vlm, table.module)
        for name in table.names:
            assert derived.parameter(name) == table.parameter(name)
            assert derived.kind(name) == table.kind(name)
            assert derived.in_scope(name, WIDEST_SCOPE) == table.in_scope(name, WIDEST_SCOPE)
            assert derived.header(name) == table.header(name)
        for stored in checkpoint.tensors:
            assert (derived.outside(stored) is None) == (table.outside(stored) is None)
        assert derived.facts == table.facts


def test_a_table_s_family_without_the_leading_model_is_derived(tmp_path: Path) -> None:
    architectures.make("llava", tmp_path, "memory")
    expected = Triple.open(**{role: tmp_path / role for role in ROLES}).names(WIDEST_SCOPE)
    path = tmp_path / "vlm" / "model.safetensors"
    bare = {name.removeprefix("model."): value for name, value in load_file(path).items()}
    save_file(bare, path, {"format": "pt"})
    _, info = AutoModelForImageTextToText.from_pretrained(tmp_path / "vlm", output_loading_info=True)
    assert not any(info.values())
    assert Triple.open(**{role: tmp_path / role for role in ROLES}).names(WIDEST_SCOPE) == expected


@pytest.mark.parametrize(
    ("receiver", "text"), [pair for pair in ALIASES.items() if pair[0].endswith("_text")]
)
def test_aliases_name_the_same_parameters(receiver: str, text: str) -> None:
    """Whoever is called a copy of a text model has its parameters, by name and number of axes."""
    owner = next(kind for kind in every_vlm.TYPES if every_vlm.text_type(kind) == receiver)
    with torch.device("meta"), initialization.no_init_weights():
        own = every_vlm.find_decoder(AutoModelForImageTextToText.from_config(every_vlm.make_config(owner)))
        left_out = ("model_type", "architectures", "transformers_version")
        settings = {key: value for key, value in own.config.to_dict().items() if key not in left_out}
        config = transformers.CONFIG_MAPPING[text].from_dict(settings)
        model = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]._from_config(config).get_decoder()
    axes = [{name: value.ndim for name, value in one.named_parameters()} for one in (own, model)]
    assert axes[0] == axes[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.update({"language_model.model.layers.0.mlp.w_pack.weight": torch.zeros(2)}),
         "has no place for model.language_model.layers.0.mlp.w_pack.weight"),
        (lambda t: t.pop("language_model.model.layers.1.mlp.up_proj.weight"),
         "model.language_model.layers.1.mlp.up_proj.weight .* is not stored"),
        (lambda t: t.update({"language_model.model.norm.weight": torch.zeros(5)}),
         r"model.language_model.norm.weight .* has shape \[32\], but \[5\] is stored"),
        (lambda t: t.update({"model.language_model.norm.weight": torch.zeros(32)}),
         "are stored for the same norm.weight"),
    ],
)  # fmt: skip
def test_what_does_not_fill_the_class_is_refused(tmp_path: Path, change: object, said: str) -> None:
    every_vlm.write_triple("aya_vision", tmp_path)
    edit_weights(tmp_path / "vlm", change)
    with pytest.raises(UserError, match=rf"vlm \(vlm\) has model_type 'aya_vision'.*since .*{said}"):
        Triple.open(**{role: tmp_path / role for role in ROLES})


def test_no_code_of_a_checkpoint_is_run(tmp_path: Path) -> None:
    every_vlm.write_triple("ovis2", tmp_path)
    path = tmp_path / "vlm" / "config.json"
    config = json.loads(path.read_text()) | {
        "model_type": "foreign",
        "auto_map": {"AutoConfig": "code.Config"},
    }
    path.write_text(json.dumps(config))
    (tmp_path / "vlm" / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(UserError, match="model_type 'foreign', which is not supported"):
        Triple.open(**{role: tmp_path / role for role in ROLES})
    assert not (tmp_path / "ran").exists()


def test_a_layout_seen_before_needs_no_torch(tmp_path: Path, cache: Path) -> None:
    every_vlm.write_triple("ovis2", tmp_path)
    folders = [str(tmp_path / role) for role in ROLES]
    code = (
        "import sys; from frism.triples.triple import Triple\n"
        f"triple = Triple.open(*{folders!r}); print(len(triple.names()), 'torch' in sys.modules)"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert answers == [["14", "True"], ["14", "False"]]
    (entry,) = (cache / "layouts").iterdir()
    entry.write_text("damaged")
    assert len(Triple.open(*folders).names()) == 14


@pytest.mark.parametrize("model_type", ["kimi_k25", "qwen3_5_moe", "minimax_m3_vl", "mistral3"])
def test_merging_on_load_gives_what_the_export_loads(tmp_path: Path, model_type: str) -> None:
    """Also where transformers makes one parameter of many stored tensors."""
    every_vlm.write_triple(model_type, tmp_path)
    triple = Triple.open(**{role: tmp_path / role for role in ROLES})
    recipe = Recipe.make(triple, "inject", {"strength": 0.7})
    params = find("inject").validate({"strength": 0.7})
    export(Job(triple, "inject", params, "mat", tmp_path / "out", sync=False))
    exported = AutoModelForImageTextToText.from_pretrained(tmp_path / "out", dtype=torch.float32)
    model = on_load.load(triple, recipe)
    for name, value in exported.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    on_load.apply(model, triple, None)
    for name, value in on_load.load(triple, None).state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_experts_stored_apart_meet_experts_stored_as_a_stack(tmp_path: Path) -> None:
    """V has a file's tensor for each expert's projection, B and R one stack per layer: one matrix each."""
    every_vlm.write_triple("glm4v_moe", tmp_path)
    triple = Triple.open(**{role: tmp_path / role for role in ROLES})
    name = "layers.1.mlp.experts.2.up_proj.weight"
    assert triple.stored(name) == "model.language_model.layers.1.mlp.experts.2.up_proj.weight"
    assert triple.stored(name, "base").endswith("mlp.experts.gate_up_proj")
    rows = triple.header("vlm", name).shape[0]
    stack = load_file(tmp_path / "base" / "model.safetensors")[triple.stored(name, "base")]
    assert torch.equal(triple.read("base", name), stack[2, rows : 2 * rows])
    assert "router" in {triple.kind(name) for name in triple.towers["vlm"].names}


def test_gates_on_experts_are_refused_in_words(tmp_path: Path) -> None:
    _, vlm, _ = every_vlm.write_triple("qwen3_5_moe", tmp_path)
    triple = Triple.open(**{role: tmp_path / role for role in ROLES})
    with pytest.raises(UserError, match=r"experts.* is no layer of the loaded model"):
        Receiver.wrap(triple, vlm, None)


def test_experts_in_another_form_are_refused_with_the_remedy(tmp_path: Path) -> None:
    """As the hub's Qwen3-VL-MoE, whose stacks are transposed, beside a donor that stores each expert."""
    _, vlm, _ = every_vlm.write_triple("qwen3_vl_moe", tmp_path)
    for role in ("base", "lrm"):
        text = vlm.config.text_config.to_dict() | {"model_type": "qwen3_moe", "architectures": None}
        config = transformers.Qwen3MoeConfig.from_dict(text)
        transformers.Qwen3MoeForCausalLM(config).save_pretrained(tmp_path / role)

    def transpose(tensors: dict) -> None:
        for name in [name for name in tensors if name.endswith("experts.gate_up_proj")]:
            tensors[name] = tensors[name].transpose(1, 2).contiguous()

    straight = Triple.open(**{role: tmp_path / role for role in ROLES})
    assert "layers.0.mlp.experts.3.gate_proj.weight" in straight.names()
    edit_weights(tmp_path / "vlm", transpose)
    with pytest.raises(UserError, match=r"another form than its class .*save_original_format=False"):
        Triple.open(**{role: tmp_path / role for role in ROLES})


def test_the_table_holds_only_what_transformers_knows() -> None:
    assert set(ARCHITECTURES) <= set(transformers.CONFIG_MAPPING)


@pytest.mark.parametrize(
    ("model_type", "text"),
    [("glm4v", "glm4"), ("glm4v_moe", "glm4_moe"), ("paddleocr_vl", "ernie4_5"),
     ("qwen2_5_omni_thinker", "qwen2")],
)  # fmt: skip
def test_text_models_of_another_name_are_donors(tmp_path: Path, model_type: str, text: str) -> None:
    """As released: GLM-4.1V and GLM-4, whose class V calls its own copy of."""
    _, vlm, _ = every_vlm.write_triple(model_type, tmp_path)
    decoder = every_vlm.find_decoder(vlm)
    left_out = ("model_type", "architectures", "transformers_version")
    settings = {key: value for key, value in decoder.config.to_dict().items() if key not in left_out}
    config = transformers.CONFIG_MAPPING[text].from_dict({"head_dim": 8} | settings)
    for seed, role in enumerate(("base", "lrm")):
        model = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config).float()
        every_vlm.find_decoder(model).load_state_dict(decoder.state_dict())
        every_vlm.perturb(model, seed).save_pretrained(tmp_path / role)
    triple = Triple.open(**{role: tmp_path / role for role in ROLES})
    assert {triple.towers[role].facts.text_type for role in ROLES} == {text}
    for name in triple.names():
        if (path := triple.towers["vlm"].parameter(name)) is not None:
            whole = vlm.get_parameter(path)
            region = triple.towers["vlm"].region(name)
            assert torch.equal(triple.read("vlm", name), whole if region is None else region.cut(whole))
        torch.testing.assert_close(triple.read("base", name), triple.read("vlm", name), rtol=0, atol=0.2)


def test_a_family_of_vlms_alone_is_merged_by_their_towers(tmp_path: Path) -> None:
    """As Qwen3.5, whose base and reasoning models read pictures themselves."""
    for seed, role in enumerate(ROLES):
        every_vlm.perturb(every_vlm.make_model("qwen3_5"), seed, 0.004).save_pretrained(tmp_path / role)
    folders = {role: tmp_path / role for role in ROLES}
    with pytest.raises(UserError, match="--vlm-donor"):
        Triple.open(**folders)
    triple = Triple.open(**folders, vlm_donor=True)
    kinds = {triple.kind(name) for name in triple.towers["vlm"].names}
    assert {"matrix", "convolution", "other tensor of a layer"} <= kinds
    assert any("linear_attn.in_proj" in name for name in triple.names())
    params = find("inject").validate({"strength": 1.0})
    export(Job(triple, "inject", params, "mat", tmp_path / "out", sync=False))
    _, info = AutoModelForImageTextToText.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info.values())
