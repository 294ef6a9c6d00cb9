"""Models and templates with tags of thoughts: a template that opens one, a model that says one."""

from typing import Any

import torch

TAG = "◁think▷"


def open_thought(processor: Any, tag: str) -> None:
    """Let the chat template of a processor or tokenizer begin every answer with a tag."""
    template = processor.chat_template + "{% if add_generation_prompt %}" + tag + "\n{% endif %}"
    for holder in {processor, getattr(processor, "tokenizer", processor)}:
        holder.chat_template = template


def teach_tag(model: Any, tokenizer: Any, token: str) -> str:
    """Let a model say a special token TAG where it would say `token`; return the text of `token`."""
    tokenizer.add_tokens([TAG], special_tokens=True)
    old, new = tokenizer.convert_tokens_to_ids([token, TAG])
    model.resize_token_embeddings(max(len(tokenizer), model.config.get_text_config().vocab_size))
    entering, leaving = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    with torch.no_grad():
        entering[new] = entering[old]
        leaving[new] = leaving[old] * 1.001
    text: str = tokenizer.convert_tokens_to_string([token])
    return text
