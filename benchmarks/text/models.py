"""Find the models whose text ability is measured: the triple's language models, V's tower, merges in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.answering.engine import describe_origin as origin
from benchmarks.answering.partner import Partner
from benchmarks.study.engine_settings import LOCAL, EngineSettings
from benchmarks.text.chat import Chat
from frism.errors import UserError
from frism.merging import on_load
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple


@dataclass(frozen=True)
class TextModel:
    """A model that answers text: its name, its chat template, what identifies its weights, how to load it.

    Attributes:
        load: loads it, and the other model where their predictions are mixed.
        folder: with its config. variant: the triple, recipe and coefficients of a VLM; None for a language
            model. spectra: the folder that keeps spectra.
    """

    name: str
    chat: Chat
    ends: frozenset[int]
    origin: Mapping[str, Any]
    load: Callable[[], tuple[Any, Partner | None]]
    folder: Path
    variant: tuple[Triple, Recipe | None, Fitted] | None = None
    spectra: Path | None = None


def find_model(
    triple: Triple,
    model: str | None,
    recipe_folder: Path | None,
    settings: EngineSettings,
    spectra: Path | None = None,
) -> TextModel:
    """Find a language model of the triple, V, or V with a variant merged in; nothing is loaded yet.

    A VLM answers text with its language tower alone. A base model without a chat template gets V's: they
    share the vocabulary. `spectra` is the folder that keeps spectra. Raises UserError for an unknown `model`.
    """
    from transformers import AutoTokenizer, logging

    logging.disable_progress_bar()
    placement: dict[str, Any] = {"dtype": settings.torch_dtype, "device_map": settings.device_map}
    if model in ("base", "lrm"):
        folder = triple.base_folder if model == "base" else triple.lrm_folder
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        if not tokenizer.chat_template:
            tokenizer.chat_template = AutoTokenizer.from_pretrained(
                triple.vlm_folder, trust_remote_code=False
            ).chat_template
        chat = Chat(tokenizer)
        return TextModel(
            model,
            chat,
            chat.ends(folder),
            {model: triple.digest[model]},
            lambda: (on_load.load_language_model(triple, model, choose_device(settings), **placement), None),
            folder,
        )
    if (model is None) == (recipe_folder is None) or model not in (None, "vlm"):
        raise UserError("give either --recipe FOLDER or --model base, lrm or vlm.")
    recipe, fitted = Recipe.load(recipe_folder) if recipe_folder else (None, Fitted())
    home = on_load.find_folder(triple, recipe)
    chat = Chat(AutoTokenizer.from_pretrained(home, trust_remote_code=False))

    def load_variant() -> tuple[Any, Partner | None]:
        loaded = on_load.load(
            triple, None if recipe and recipe.mixes else recipe, fitted,
            device=choose_device(settings), spectra=spectra, **placement,
        )  # fmt: skip
        return loaded, Partner.open(triple, recipe, settings, loaded)

    return TextModel(
        recipe_folder.name if recipe_folder else "vlm",
        chat,
        chat.ends(home),
        origin(triple, recipe),
        load_variant,
        home,
        (triple, recipe, fitted),
        spectra,
    )


def choose_device(settings: EngineSettings) -> torch.device:
    """Choose where the text column runs, where it runs in this process."""
    if settings.name not in LOCAL:
        settings = settings.model_copy(update={"device": "auto"})
    return settings.torch_device
