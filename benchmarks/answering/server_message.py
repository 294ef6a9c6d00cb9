"""Read a server's message as one text, its thoughts between <think> tags, wherever the server puts them."""

from collections.abc import Iterator, Mapping
from typing import Any

FIELDS = ("reasoning", "reasoning_content")  # vLLM and OpenRouter; DeepSeek, SGLang and vLLM before 0.12
_THOUGHTS = ("thinking", "reasoning", "reasoning_content")  # kinds of a content's parts


def read_message(message: Any, truncated: bool) -> str:
    """Return the text of a chat completion's message, thoughts first or where its parts have them.

    A thought after which nothing comes because the token limit cut it is left open.

    Args:
        message: of the client; its content is a text, a list of parts, or None.
    """
    # Newer servers send both names with the same text.
    fields = [text for name in FIELDS if (text := "".join(_list_texts(getattr(message, name, None))))]
    parts = [("thinking", fields[0])] if fields else []
    content = message.content or ()
    for part in [content] if isinstance(content, str) else content:
        thought = _read(part, "type") in _THOUGHTS
        parts.append(("thinking" if thought else "text", "".join(_list_texts(part))))
    parts = [(kind, text) for kind, text in parts if text]
    texts = [f"<think>{text}</think>" if kind == "thinking" else text for kind, text in parts]
    if truncated and parts and parts[-1][0] == "thinking":
        texts[-1] = texts[-1].removesuffix("</think>")
    return "".join(texts)


def _list_texts(value: Any) -> Iterator[str]:
    """List the texts of a part, which may hold further parts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _list_texts(part)
    else:
        found = (_read(value, name) for name in ("text", *_THOUGHTS, "summary", "content", "refusal"))
        yield from _list_texts(next(filter(None, found), ()))


def _read(part: Any, name: str) -> Any:
    """Read a field of a part: the client leaves what it does not know as a mapping."""
    return part.get(name) if isinstance(part, Mapping) else getattr(part, name, None)
