"""Fixtures of the parity tests: tiny triples in the real classes, and what the peers make of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import logging

from frism.method.discovery import find
from frism.method.site import Site
from tests.support import architectures

logging.disable_progress_bar()

Weights = dict[str, dict[str, Tensor]]  # role -> stored name -> tensor

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@pytest.fixture(scope="session")
def llm_triples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Per dtype, a folder with base/, vlm/ and lrm/: three tiny Qwen2 models, the "VLM" a text model too."""
    root = tmp_path_factory.mktemp("llm")
    for dtype_name, dtype in DTYPES.items():
        for seed, role in enumerate(("base", "vlm", "lrm")):
            model = architectures.text_model("qwen2")
            if role != "base":
                architectures.perturb(model, seed)
            model.to(dtype).save_pretrained(root / dtype_name / role)
            architectures.tokenizer().save_pretrained(root / dtype_name / role)
    return {name: root / name for name in DTYPES}


@pytest.fixture(scope="session")
def weights(llm_triples: dict[str, Path]) -> dict[str, Weights]:
    """The tensors of `llm_triples`, as stored."""
    return {
        name: {role: load_file(folder / role / "model.safetensors") for role in ("base", "vlm", "lrm")}
        for name, folder in llm_triples.items()
    }


@pytest.fixture(scope="session")
def merge_all() -> Callable[..., dict[str, Tensor]]:
    """A function that merges every tensor with one of our methods, in fp32."""

    def merge(weights: Weights, method: str, **params: object) -> dict[str, Tensor]:
        found = find(method)
        complete = found.validate(params)
        return {
            name: found.run_merge(
                Site.of(
                    **{role: weights[role][name].float() for role in found.reads},
                    name=name, layer=None, layers=architectures.LAYERS,
                ),
                complete,
            )
            for name in weights["vlm"]
        }  # fmt: skip

    return merge


def rewrite(folder: Path, change: Callable[[str, Tensor], Tensor]) -> None:
    """Replace every tensor of a folder's model.safetensors."""
    path = folder / "model.safetensors"
    tensors = {name: change(name, tensor.clone()).contiguous() for name, tensor in load_file(path).items()}
    save_file(tensors, path, {"format": "pt"})
