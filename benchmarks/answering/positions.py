"""Tell prompts that are longer than a model has positions, which nothing but another model can answer."""

from typing import Any

from benchmarks.questions.item import Item
from benchmarks.questions.unanswerable import UnanswerableError


def read_positions(config: Any) -> int | None:
    """Return how many positions a model of transformers was made for; None where its config does not say."""
    found: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    return found


def check_length(item: Item, tokens: int, positions: int) -> None:
    """Raise UnanswerableError unless a prompt of so many tokens leaves a position for an answer."""
    if tokens >= positions:
        raise UnanswerableError(
            "too_long",
            f"the prompt of question {item.index} of {item.benchmark} has {tokens} tokens, and the model only"
            f" {positions} positions: leave the question out, lower prompting.max_pixels if pictures make it"
            " long, or count such questions as unanswered (engine.failures).",
        )
