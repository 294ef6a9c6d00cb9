"""Keep what marks a model's thoughts in its answers: a tag that the prompt opens, tags that are tokens.

A cut chain of thought whose opening tag is lost would be read as an answer.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from benchmarks.answering.decoding import Interruption
from benchmarks.answering.rendering import render_text
from benchmarks.prompting import thinking
from benchmarks.prompting.families import Family
from benchmarks.questions.item import Item
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError

_THINK = ("<think>", "</think>")
_QUESTION = Item("", "", "", ({"type": "text", "value": "?"},), "", (), Path())


@dataclass(frozen=True)
class Thoughts:
    """Holds what is done about a model's thoughts; nothing at all for most models.

    Attributes:
        opening: the tag with which its prompts end, "" for none.
        kept: those tokens of its tokenizer that are special and yet part of a thought's tags.
        own: tags that the study names itself.
    """

    opening: str = ""
    kept: tuple[str, ...] = ()
    own: tuple[str, str] | None = None

    @classmethod
    def find(cls, tokenizer: Any, prompt: str, tags: str | tuple[str, str]) -> "Thoughts":
        """Find them by a tokenizer and a prompt; `tags` as in EngineSettings.thinking."""
        conventions = thinking.choose_conventions(tags)
        special = _find_special(tokenizer).values()
        kept = sorted({token for c in conventions for token in c.tokens} & set(special))
        own = tags if isinstance(tags, tuple) else None
        return cls(thinking.find_opening(prompt, conventions), tuple(kept), own)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Return what decides about the texts that are stored; empty where they are as they came."""
        content = {"opened": self.opening, "kept": list(self.kept), "tags": self.own and list(self.own)}
        content = {name: value for name, value in content.items() if value}
        return {"thinking": content} if content else {}

    def translate(self, raw: str) -> str:
        """Write a study's own tags as those that everybody knows."""
        for own, known in zip(self.own or (), _THINK, strict=False):
            raw = raw.replace(own, known)
        return raw

    def restore(self, raw: str) -> str:
        """Put back the tag that the prompt opened, and translate."""
        return thinking.add_opening(self.translate(self.opening), self.translate(raw))

    def close(self, tokenizer: Any, tokens: Sequence[int]) -> list[int]:
        """Return the ids of the tag that ends the thought that an answer's tokens are in; none in none.

        Raises UserError for a tokenizer that cannot write the tag.
        """
        raw = self.wrap(tokenizer).decode(list(tokens), skip_special_tokens=True)
        known = thinking.find_closing(self.restore(raw))
        tag = self.own[1] if self.own and known == _THINK[1] else known
        ids: list[int] = tokenizer(tag, add_special_tokens=False).input_ids if tag else []
        if tag not in tokenizer.decode(ids, skip_special_tokens=False):
            raise UserError(
                f"the tokenizer in {tokenizer.name_or_path} cannot write '{tag}', which ends the thoughts of"
                " its model: drop engine.thinking_budget."
            )
        return ids

    def limit(self, tokenizer: Any, budget: int | None) -> Interruption | None:
        """Return what ends a thought that an answer is in after `budget` tokens; None without a budget."""
        return None if budget is None else Interruption(budget, partial(self.close, tokenizer))

    def wrap(self, tokenizer: Any) -> Any:
        """Return the tokenizer, or one that keeps the tags when it leaves out special tokens."""
        return KeepingTokenizer(tokenizer, self.kept) if self.kept else tokenizer


class KeepingTokenizer:
    """Wraps a tokenizer: its decoding without special tokens keeps some of them."""

    def __init__(self, tokenizer: Any, kept: Collection[str]) -> None:
        self._tokenizer = tokenizer
        special = _find_special(tokenizer)
        self._dropped = frozenset(index for index, token in special.items() if token not in kept)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, **options: Any) -> Any:
        """Decode as the tokenizer does: one sequence of ids or several."""
        if skip_special_tokens:
            token_ids = self._drop(token_ids)
        return self._tokenizer.decode(token_ids, skip_special_tokens=False, **options)

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False, **options: Any) -> list[str]:
        """Decode several sequences of ids."""
        return [self.decode(row, skip_special_tokens, **options) for row in sequences]

    def _drop(self, ids: Any) -> Any:
        ids = ids.tolist() if hasattr(ids, "tolist") else ids
        if isinstance(ids, Sequence):
            return [self._drop(i) if isinstance(i, Sequence) else i for i in ids if not self._is_dropped(i)]
        return ids

    def _is_dropped(self, index: Any) -> bool:
        return not isinstance(index, Sequence) and int(index) in self._dropped


def find_thoughts(processor: Any, family: Family, settings: EngineSettings) -> Thoughts:
    """Find them for a VLM, by the prompt that its processor writes for any question."""
    try:
        prompt = render_text(processor, family, _QUESTION)
    except (TemplateError, TypeError, ValueError):  # it wants another question: nothing is known
        prompt = ""
    return Thoughts.find(processor.tokenizer, prompt, settings.thinking or family.thinking)


def read_thoughts(folder: str | Path, family: Family, settings: EngineSettings) -> Thoughts:
    """Find them for a checkpoint folder that a server answers with; nothing where it has no processor."""
    from transformers import AutoProcessor

    try:
        processor: Any = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, ImportError):  # the server's own matter
        return Thoughts()
    return find_thoughts(processor, family, settings)


def _find_special(tokenizer: Any) -> dict[int, str]:
    """Find the tokens that decoding leaves out, by id."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    special = {index: str(token) for index, token in added.items() if token.special}
    return special | {index: tokenizer.convert_ids_to_tokens(index) for index in tokenizer.all_special_ids}
