"""VLMEvalKit's model classes without their weights: what they do to a prompt, depending on the dataset.

The counterpart of `benchmarks.vlmevalkit`, which has its datasets.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import re
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType, SimpleNamespace
from typing import Any

from benchmarks.prompting.families import Family, Message
from frism.errors import UserError

IMAGE = "<image>"


def model_class(name: str) -> Any:
    """VLMEvalKit's model class. Importing it loads all of its wrappers (9 s), so only prompts of families
    that need it pay."""
    return getattr(package("vlm"), name)


def package(name: str) -> ModuleType:
    """A package of VLMEvalKit as a whole: "vlm", "dataset"; or a module of it.

    `vlmeval` itself stays bare: it would switch off TLS checks, and read a .env file beside itself. Neither
    random state nor gradients stay switched, as `vlmeval.vlm` would have it.
    """
    import torch

    spec = importlib.machinery.PathFinder.find_spec("vlmeval")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("VLMEvalKit is not installed: pip install --no-deps ms-vlmeval==0.0.20.")
    if "vlmeval" not in sys.modules:
        bare = ModuleType("vlmeval")
        bare.__path__, bare.__spec__ = list(spec.submodule_search_locations), spec
        sys.modules["vlmeval"] = bare
    gradients = torch.is_grad_enabled()
    with torch.random.fork_rng(devices=[]), _unchanged_process():
        _complete("vlmeval.dataset")
        module = importlib.import_module(f"vlmeval.{name}")
    torch.set_grad_enabled(gradients)
    return module


def _complete(name: str) -> None:
    """Run the __init__ of a package that so far stands there bare (`benchmarks.vlmevalkit` does that)."""
    stand_in = sys.modules.get(name)
    if stand_in is None or getattr(stand_in, "__file__", None):
        return
    parent = sys.modules[name.rpartition(".")[0]]
    spec = importlib.machinery.PathFinder.find_spec(name, list(parent.__path__))
    assert spec is not None and spec.loader is not None
    stand_in.__file__, stand_in.__spec__ = spec.origin, spec
    spec.loader.exec_module(stand_in)


@contextmanager
def _unchanged_process() -> Iterator[None]:
    """Environment variables and TLS checks as before, whatever an import does to them."""
    before, context = dict(os.environ), ssl._create_default_https_context
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)
        ssl._create_default_https_context = context


def write_message(family: Family, dataset: Any, line: Any) -> Message:
    """VLMEvalKit's parts of one question: {"type": "image" | "text", "value": ...}.

    A text part with "role": "assistant" is how the answer begins. Args: `dataset`, a dataset object of
    VLMEvalKit; `line`, a row of its table. Raises UserError where pictures and their places differ.
    """
    name = dataset.dataset_name
    if getattr(dataset, "force_use_dataset_prompt", False) or not family.custom_prompts:
        message = dataset.build_prompt(line)
    else:
        writer = prompt_writer(family)
        writer.set_dump_image(dataset.dump_image)
        if writer.use_custom_prompt(name):
            message = writer.build_prompt(line, dataset=name)
        else:
            message = dataset.build_prompt(line)
    if isinstance(message, str):
        message = [{"type": "text", "value": message}]
    return REWRITES[family.rewrite](family, message, name) if family.rewrite else message


def prompt_writer(family: Family) -> Any:
    """VLMEvalKit's model object of a family without weights: it can write prompts and nothing else."""
    interface = model_class(family.reference)
    writer = interface.__new__(interface)
    vars(writer).update(
        {"dump_image_func": None, "_use_custom_prompt": family.custom_prompts, "kwargs": {}},
        **dict(family.attributes),
    )
    return writer


# --- what they do to a message ------------------------------------------------------------------


def _templates(own: Family, message: Message, dataset: str) -> Message:
    """Idefics, SmolVLM: the class lays out a whole prompt for each kind of dataset; taken apart again."""
    writer = prompt_writer(own)
    seen: list[str] = []

    def look(*_: Any, text: str, **__: Any) -> Any:
        seen.append(text)
        raise _Stop

    writer.processor, writer.model = look, SimpleNamespace(device="cpu")
    with suppress(_Stop):
        writer.generate_inner(message, dataset)
    start, end = own.frame
    head, found, prefill = seen[0].rpartition(end)
    if not found or not head.startswith(start):
        raise UserError(f"{own.reference} lays out {dataset} in a way that family {own.name} does not know.")
    parts = _split(own, head.removeprefix(start), IMAGE, message, dataset)
    return [*parts, {"type": "text", "role": "assistant", "value": prefill}] if prefill else parts


def _numbered(own: Family, message: Message, dataset: str) -> Message:
    """InternVL: pictures first, numbered when there are several."""
    pictures = sum(part["type"] == "image" for part in message)
    text = package("vlm.internvl.utils").reorganize_prompt(message, pictures, dataset=dataset)
    return _split(own, text, f"{IMAGE}\n", message, dataset)


def _first_picture(own: Family, message: Message, dataset: str) -> Message:
    """PaliGemma: one picture, and all texts in one. (VLMEvalKit pastes BLINK's pictures together.)"""
    if dataset == "BLINK":
        raise UserError(f"BLINK shows several pictures at once, which {own.name} cannot take: leave it out.")
    text = "\n".join(part["value"] for part in message if part["type"] == "text")
    return [*[p for p in message if p["type"] == "image"][:1], {"type": "text", "value": text}]


def _split(own: Family, text: str, marker: str, message: Message, dataset: str) -> Message:
    pictures = [part for part in message if part["type"] == "image"]
    texts = re.split(re.escape(marker), text)
    if len(texts) != len(pictures) + 1:
        raise UserError(
            f"{dataset}: {own.reference} makes {len(texts) - 1} places for {len(pictures)} pictures, so"
            f" {own.name} cannot answer it: leave the benchmark out."
        )
    parts: Message = [{"type": "text", "value": texts[0]}] if texts[0] else []
    for picture, following in zip(pictures, texts[1:], strict=True):
        parts.append(picture)
        if following:
            parts.append({"type": "text", "value": following})
    return parts


class _Stop(Exception):  # noqa: N818 - not an error
    """The prompt is known; nothing is generated."""


REWRITES: dict[str, Callable[[Family, Message, str], Message]] = {
    "templates": _templates, "numbered": _numbered, "first_picture": _first_picture,
}  # fmt: skip
