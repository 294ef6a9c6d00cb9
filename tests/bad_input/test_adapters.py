"""LoRA adapters as donors: damaged configs and weights are refused, or applied as peft applies them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from frism.triples.donors import open_source
from tests.bad_input.conftest import Try, attempt
from tests.bad_input.damage import contents, json_files, texts

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


@pytest.fixture
def adapter(triple_folders: dict[str, Path], tmp_path: Path) -> Path:
    """An adapter of the untrained base, every value random."""
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(triple_folders["base"])
    model = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj", "down_proj"]))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def read(base: Path, adapter: Path) -> None:
    """Open the donor and read a tensor that the adapter changes, as a merge does."""
    donor = open_source(f"{base}+{adapter}")
    for name in list(donor.tensors)[:3]:
        donor.read(name)


def test_a_damaged_config_of_an_adapter_is_refused_or_used(
    try_cases: Try, adapter: Path, triple_folders: dict[str, Path]
) -> None:
    path, base = adapter / CONFIG, triple_folders["base"]
    whole = json.loads(path.read_text())

    def check(content: bytes) -> None:
        path.write_bytes(content)
        attempt(lambda: read(base, adapter), adapter)
        assert not Path("hacked").exists()

    told = {
        key: whole[key] for key in ("peft_type", "r", "lora_alpha", "target_modules", "task_type", "bias")
    }
    try_cases(json_files(whole) | json_files(told), check, few=15)


def test_damaged_weights_of_an_adapter_are_refused_or_used(
    try_cases: Try, adapter: Path, triple_folders: dict[str, Path]
) -> None:
    """Bytes, names, shapes and dtypes."""
    path, base = adapter / WEIGHTS, triple_folders["base"]
    tensors = {
        name: tensor.clone() for name, tensor in load_file(path).items()
    }  # not mapped: it is rewritten
    whole = path.read_bytes()

    def check(case: bytes | tuple[str, str, Any]) -> None:
        if isinstance(case, bytes):
            path.write_bytes(case)
        else:
            old, new, value = case
            kept = {name: tensor for name, tensor in tensors.items() if name != old}
            save_file({**kept, new: value}, path)
        attempt(lambda: read(base, adapter), adapter, base)

    names = st.sampled_from(sorted(tensors))
    prefixes = names.map(lambda name: name + ".x") | names.map(lambda name: name[:-7]) | names.map(str.upper)
    fresh = texts.filter(lambda text: text not in ("", "__metadata__") and "\ud800" not in text)
    shapes = st.sampled_from([(), (0,), (2,), (2, 3), (2, 2, 2), (1, 1)])
    dtypes = st.sampled_from([torch.float32, torch.int64, torch.bool, torch.float8_e4m3fn])
    odd = st.builds(lambda shape, dtype: torch.ones(shape).to(dtype), shapes, dtypes)
    nan = names.map(lambda name: torch.full_like(tensors[name], float("nan")))
    replaced = st.tuples(
        names, names | prefixes | fresh, odd | nan | names.map(lambda name: tensors[name].clone())
    )
    try_cases(contents(whole) | replaced, check, few=15)
