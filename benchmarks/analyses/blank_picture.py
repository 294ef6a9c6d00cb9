"""Blank picture: every picture's tokens are replaced by their common mean, and what is still right is scored.

Of this project: a causal measure beside attention. What a variant answers without seeing comes from the text
alone; a merge that gains by guessing better gains here, too. The mean is over the tokens of all pictures that
are answered together, so that nothing of a single picture is left, and the number of tokens stays. With one
picture at a time (an engine.batch_size of 1) its own mean colour would be left of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.intervention import INTACT, Intervention
from frism.errors import UserError

ENCODED = "mm_encoder_outputs"  # argument of a forward pass: what the vision tower gave


def intervene(ground: Ground) -> Iterator[Intervention]:
    """Yield the variant as it is, then without its sight."""
    yield INTACT
    yield Intervention("blank", "all", "pictures", apply=partial(blank_pictures, ground))


@contextmanager
def blank_pictures(ground: Ground) -> Iterator[None]:
    """Let the model see the mean of its pictures' tokens in the place of each."""
    handle = ground.model.register_forward_pre_hook(replace_features, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def replace_features(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Replace the vision tower's outputs among a forward pass' arguments.

    Raises UserError for a model that runs its tower within the forward pass.
    """
    if any(name.startswith("pixel_") and kwargs[name] is not None for name in kwargs):
        raise UserError(
            f"{type(model).__name__} runs its vision tower inside, so its pictures cannot be blanked: leave"
            " blank_picture out."
        )
    encoded = kwargs.get(ENCODED)
    if not encoded:
        return None
    features = encoded["image"]
    depths = features.deepstack_features
    blank = replace(
        features,
        pooler_output=spread_mean(features.pooler_output),
        deepstack_features=None if depths is None else [spread_mean(depth) for depth in depths],
    )
    return args, {**kwargs, ENCODED: {**encoded, "image": blank}}


def spread_mean(features: Any) -> Any:
    """Return the mean over all tokens in every token's place, of one tensor (..., width) or of several."""
    parts: list[Tensor] = features if isinstance(features, list) else [features]
    rows = [part.flatten(0, -2).float() for part in parts]
    mean = sum(row.sum(0) for row in rows) / sum(len(row) for row in rows)
    blank = [mean.to(part.dtype).expand_as(part).contiguous() for part in parts]  # type: ignore[union-attr]
    return blank if isinstance(features, list) else blank[0]
