"""LoRA and DoRA adapters as donors: the bytes of peft's own `merge_and_unload`."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from frism.errors import UserError
from frism.inspection.verdict import judge
from frism.merging.export import Job, export
from frism.method.discovery import find
from frism.triples.donors import open_source
from frism.triples.triple import Triple
from tests.support import architectures

KINDS: dict[str, dict[str, Any]] = {
    "plain": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"]},
    "patterns": {"r": 4, "lora_alpha": 8, "target_modules": "all-linear",
                 "rank_pattern": {"layers.1.self_attn.q_proj": 2, "up_proj": 6},
                 "alpha_pattern": {"k_proj": 32}},
    "rslora": {"r": 4, "lora_alpha": 8, "target_modules": ["v_proj"], "use_rslora": True},
    "dora": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "gate_proj"], "use_dora": True},
    "saved": {"r": 4, "target_modules": ["o_proj"], "modules_to_save": ["lm_head", "norm"]},
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path / "cache"))


def make_adapter(folder: Path, base: Path, seed: int = 0, **config: Any) -> None:
    """Write an adapter with every value random, as training would leave it."""
    torch.manual_seed(seed)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype="auto"), LoraConfig(**config))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)


def merge_and_unload(base: Path, adapters: list[Path], out: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    for adapter in adapters:
        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    model.save_pretrained(out)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_a_donor_has_the_bytes_of_merge_and_unload(tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    architectures.make("llava_onevision", tmp_path, dtype=dtype)
    make_adapter(tmp_path / "adapter", tmp_path / "base", **KINDS[kind])
    merge_and_unload(tmp_path / "base", [tmp_path / "adapter"], tmp_path / "whole")
    folders = {"base": tmp_path / "base", "vlm": tmp_path / "vlm"}
    adapted = Triple.open(**folders, lrm=f"{tmp_path / 'base'}+{tmp_path / 'adapter'}")
    whole = Triple.open(**folders, lrm=tmp_path / "whole")
    changed = 0
    for name in whole.names("mat+bias+norm"):
        one, other = adapted.read("lrm", name, stored=True), whole.read("lrm", name, stored=True)
        assert one.dtype == other.dtype and torch.equal(one, other), name
        changed += not torch.equal(one, adapted.read("base", name, stored=True))
    assert changed
    params = find("inject").validate({"strength": 0.5})
    for triple, out in ((adapted, "a"), (whole, "b")):
        export(Job(triple, "inject", params, "mat", tmp_path / out, sync=False))
    merged = [load_file(tmp_path / out / "model.safetensors") for out in "ab"]
    assert all(torch.equal(merged[0][name], merged[1][name]) for name in merged[1])
    notes = judge(adapted, "mat").notes
    assert any("lm_head, norm whole (modules_to_save)" in note for note in notes) == (kind == "saved")


def test_several_adapters_add_up(tmp_path: Path) -> None:
    architectures.make("qwen2_5_vl", tmp_path)
    for number, kind in enumerate(("plain", "patterns")):
        make_adapter(tmp_path / kind, tmp_path / "base", number, **KINDS[kind])
    merge_and_unload(tmp_path / "base", [tmp_path / "plain", tmp_path / "patterns"], tmp_path / "whole")
    source = "+".join(str(tmp_path / name) for name in ("base", "plain", "patterns"))
    donor, whole = open_source(source), open_source(tmp_path / "whole")
    for name in whole.tensors:
        torch.testing.assert_close(donor.read(name), whole.read(name), rtol=0, atol=1e-7)


def test_unchanged_tensors_are_read_where_the_base_has_them(tmp_path: Path) -> None:
    architectures.make("qwen2_5_vl", tmp_path, shards=True)
    make_adapter(tmp_path / "adapter", tmp_path / "base", **KINDS["plain"])
    source = f"{tmp_path / 'base'}+{tmp_path / 'adapter'}"
    donor = open_source(source)
    inside = {name for name, header in donor.tensors.items() if header.file.parent == tmp_path / "base"}
    assert {name.split(".")[-2] for name in donor.tensors.keys() - inside} == {"q_proj", "down_proj"}
    assert open_source(source).folder == donor.folder
    assert open_source(source).digest == donor.digest != open_source(tmp_path / "base").digest


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peft_type": "IA3"}, "an adapter of type IA3"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4, which changes the base"),
        ({"bias": "all"}, "sets bias: merge it with merge_and_unload"),
    ],
)
def test_other_adapters_are_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    architectures.make("qwen2_5_vl", tmp_path)
    make_adapter(tmp_path / "adapter", tmp_path / "base", **KINDS["plain"])
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError, match=said):
        open_source(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}")
    with pytest.raises(UserError, match=r"holds a LoRA adapter .*not a whole model"):
        open_source(tmp_path / "adapter")


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    architectures.make("qwen2_5_vl", tmp_path / "one")
    architectures.make("gemma3", tmp_path / "other")
    make_adapter(tmp_path / "adapter", tmp_path / "other" / "base", **KINDS["plain"])
    with pytest.raises(UserError, match="does not fit"):
        open_source(f"{tmp_path / 'one' / 'base'}+{tmp_path / 'adapter'}")
    assert not list((tmp_path / "cache" / "adapted").iterdir())
