"""Apply chat templates: how a conversation becomes a prompt, and which tokens end an answer."""

from pathlib import Path
from typing import Any

from benchmarks.answering.thoughts import Thoughts
from frism.errors import UserError

_PROBE = "What is written here?"


class Chat:
    """A tokenizer's chat template.

    Args:
        tokenizer: of transformers. Raises UserError when it has no template, or one that loses the question.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.in_parts = _wants_parts(tokenizer)

    def prompt(self, turns: list[dict[str, Any]], add_generation_prompt: bool = True) -> str:
        """Write the prompt of a conversation, whose turns' contents are texts."""
        if self.in_parts:
            turns = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns]
        return str(
            self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        )

    def find_thoughts(self, tags: str | tuple[str, str] | None) -> Thoughts:
        """Find what marks the model's thoughts; `tags` as in EngineSettings.thinking."""
        prompt = self.prompt([{"role": "user", "content": _PROBE}])
        return Thoughts.find(self.tokenizer, prompt, tags or "any")

    def ends(self, folder: str | Path) -> frozenset[int]:
        """Find the ids of the tokens that end an answer of the checkpoint in `folder`.

        They are the generation config's, the tokenizer's, and the one with which the template closes an
        answer: a base model's tokenizer names another, and its answers would run to the limit.
        """
        from transformers import GenerationConfig

        ends = {self.tokenizer.eos_token_id}
        try:
            stored = GenerationConfig.from_pretrained(folder).eos_token_id
        except OSError:  # the checkpoint has no generation config
            stored = None
        ends |= {stored} if isinstance(stored, int) else set(stored or [])
        closing = self.prompt(
            [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}], False
        )
        after = self.tokenizer(closing.rpartition(_PROBE)[2], add_special_tokens=False).input_ids
        ends |= set(after[:1]) & {*self.tokenizer.all_special_ids, *self.tokenizer.added_tokens_decoder}
        return frozenset(ends - {None})


def _wants_parts(tokenizer: Any) -> bool:
    """Tell whether the template takes a turn's content as a list of parts, as those of some VLMs do.

    Given a text, such a template writes nothing and says nothing: the model would be asked an empty question.
    """
    if not tokenizer.chat_template:
        raise UserError(f"{tokenizer.name_or_path} has no chat template: add its chat_template.jinja.")
    for parts in (False, True):
        content: Any = [{"type": "text", "text": _PROBE}] if parts else _PROBE
        try:
            prompt = tokenizer.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
            )
        except Exception:  # whatever a template does with what it does not expect
            continue
        if _PROBE in prompt:
            return parts
    raise UserError(
        f"the chat template of {tokenizer.name_or_path} leaves the question out: correct its"
        " chat_template.jinja."
    )
