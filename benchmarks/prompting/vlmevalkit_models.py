"""Write prompts by VLMEvalKit's model classes, without their weights.

The counterpart of `benchmarks.vlmevalkit`, which loads its dataset classes.
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
from benchmarks.registry.vlmevalkit_package import add_bare_package
from frism.errors import UserError

IMAGE = "<image>"


def model_class(name: str) -> Any:
    """Return VLMEvalKit's model class. The first call imports all of its wrappers (9 s)."""
    return getattr(package("vlm"), name)


def package(name: str) -> ModuleType:
    """Import a whole package of VLMEvalKit ("vlm", "dataset") or one of its modules.

    The `__init__` of `vlmeval` does not run. Random state and gradients, which `vlmeval.vlm` changes, are
    as before. Raises UserError when VLMEvalKit is not installed.
    """
    import torch

    add_bare_package("vlmeval")
    gradients = torch.is_grad_enabled()
    with torch.random.fork_rng(devices=[]), _unchanged_process():
        _complete("vlmeval.dataset")
        module = importlib.import_module(f"vlmeval.{name}")
    torch.set_grad_enabled(gradients)
    return module


def _complete(name: str) -> None:
    """Run the `__init__` of a package that `benchmarks.vlmevalkit` has put there bare."""
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
    """Restore environment variables and TLS checks after the `with` block, whatever an import changed."""
    before, context = dict(os.environ), ssl._create_default_https_context
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)
        ssl._create_default_https_context = context


def write_message(family: Family, dataset: Any, line: Any) -> Message:
    """Return VLMEvalKit's parts of one question: {"type": "image" | "text", "value": ...}.

    A text part with "role": "assistant" is how the answer begins. Args: `dataset`, a dataset object of
    VLMEvalKit; `line`, a row of its table. Raises UserError where the prompt has more or fewer
    places for pictures than the question has pictures.
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
    """Make VLMEvalKit's model object of a family without weights: it writes prompts and nothing else."""
    interface = model_class(family.reference)
    writer = interface.__new__(interface)
    vars(writer).update(
        {"dump_image_func": None, "_use_custom_prompt": family.custom_prompts, "kwargs": {}},
        **dict(family.attributes),
    )
    return writer


# --- what the classes do to a message -----------------------------------------------------------


def _templates(family: Family, message: Message, dataset: str) -> Message:
    """Take apart the whole prompt that the classes of Idefics and SmolVLM lay out for a kind of dataset."""
    writer = prompt_writer(family)
    prompts: list[str] = []

    def record(*_: object, text: str, **__: object) -> None:
        prompts.append(text)
        raise _Stop

    writer.processor, writer.model = record, SimpleNamespace(device="cpu")
    with suppress(_Stop):
        writer.generate_inner(message, dataset)
    start, end = family.frame
    head, separator, prefill = prompts[0].rpartition(end)
    if not separator or not head.startswith(start):
        raise UserError(
            f"{family.reference} lays out {dataset} in a way that family {family.name} does not know: leave"
            " the benchmark out."
        )
    parts = _split(family, head.removeprefix(start), IMAGE, message, dataset)
    return [*parts, {"type": "text", "role": "assistant", "value": prefill}] if prefill else parts


def _numbered(family: Family, message: Message, dataset: str) -> Message:
    """Put pictures first, numbered when there are several, as InternVL's class does."""
    pictures = sum(part["type"] == "image" for part in message)
    text = package("vlm.internvl.utils").reorganize_prompt(message, pictures, dataset=dataset)
    return _split(family, text, f"{IMAGE}\n", message, dataset)


def _first_picture(family: Family, message: Message, dataset: str) -> Message:
    """Keep one picture and join all texts, as PaliGemma's class does (it pastes those of BLINK together)."""
    if dataset == "BLINK":
        raise UserError(f"BLINK shows several pictures at once, {family.name} takes one: leave BLINK out.")
    text = "\n".join(part["value"] for part in message if part["type"] == "text")
    return [*[p for p in message if p["type"] == "image"][:1], {"type": "text", "value": text}]


def _split(family: Family, text: str, marker: str, message: Message, dataset: str) -> Message:
    pictures = [part for part in message if part["type"] == "image"]
    texts = re.split(re.escape(marker), text)
    if len(texts) != len(pictures) + 1:
        raise UserError(
            f"{dataset}: {family.reference} makes {len(texts) - 1} places for {len(pictures)} pictures, so"
            f" {family.name} cannot answer it: leave the benchmark out."
        )
    parts: Message = [{"type": "text", "value": texts[0]}] if texts[0] else []
    for picture, following in zip(pictures, texts[1:], strict=True):
        parts.append(picture)
        if following:
            parts.append({"type": "text", "value": following})
    return parts


class _Stop(Exception):  # noqa: N818 - not an error
    """Stops a model class once its prompt is known, so that nothing is generated."""


REWRITES: dict[str, Callable[[Family, Message, str], Message]] = {
    "templates": _templates, "numbered": _numbered, "first_picture": _first_picture,
}  # fmt: skip
