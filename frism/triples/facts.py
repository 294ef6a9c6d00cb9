"""Read what a checkpoint's config says about its language model: shapes, heads, RoPE, vocabulary.

Configs leave out whatever equals the class's default (LLaVA-1.5's text_config has no hidden_size); only then
is transformers asked, because importing it takes longer than reading a triple's headers.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from frism.checkpoints.checkpoint import Checkpoint
from frism.errors import UserError
from frism.triples.architectures import ARCHITECTURES, SHIFTED_NORMS, STORED_HEADS, resolve_text_type

_NEEDED = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
    "rms_norm_eps",
)  # fmt: skip
_ACTIVATIONS = ("hidden_activation", "hidden_act")  # Gemma's name, which it reads first, and the others'
# Parts of a RoPE description that change nothing for text: the sections share one position there.
_ONLY_FOR_IMAGES = {"mrope_section", "mrope_interleaved"}


@dataclass(frozen=True)
class Facts:
    """Describe the language model of one checkpoint; None where neither config nor class says."""

    text_type: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int  # of the text model: without layers that only a receiver has
    num_attention_heads: int
    num_key_value_heads: int
    vocab_size: int
    rms_norm_eps: float | None
    hidden_act: str | None
    rope_theta: float
    rope_scaling: str  # "none", or what scales the positions, such as "llama3 factor 8"
    rope_local_theta: float | None  # of sliding-window layers that have their own
    tie_word_embeddings: bool
    norm: str  # what RMSNorm multiplies by: "w" or "1 + w"
    max_position_embeddings: int | None

    @property
    def head_dim(self) -> int:
        """Width of one head as hidden size and head count give it; the weights may say otherwise."""
        return self.hidden_size // self.num_attention_heads


@contextmanager
def explain_config(checkpoint: Checkpoint) -> Iterator[None]:
    """Turn whatever a config's odd values make a reader raise into a UserError that names its file."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0].rstrip('.')}"
        raise UserError(
            f"{checkpoint.folder / 'config.json'} describes no model that can be read ({reason}): restore it."
        ) from error


def read_facts(checkpoint: Checkpoint) -> Facts:
    """Return the facts. Raises UserError when the config has no text model that is known here."""
    with explain_config(checkpoint):
        return _read_facts(checkpoint)


def _read_facts(checkpoint: Checkpoint) -> Facts:
    kind = read_text_type(checkpoint)
    config = _fill_config(checkpoint, kind)
    full, local = _read_rope(config)
    extra = ARCHITECTURES[checkpoint.model_type].interleaved
    interleaved = config.get(extra) or [] if extra else []
    heads = int(config["num_attention_heads"])
    return Facts(
        text_type=kind,
        hidden_size=int(config["hidden_size"]),
        intermediate_size=int(config["intermediate_size"]),
        num_hidden_layers=int(config["num_hidden_layers"]) - len(interleaved),
        num_attention_heads=heads,
        num_key_value_heads=int(config.get("num_key_value_heads") or heads),
        vocab_size=int(config["vocab_size"]),
        rms_norm_eps=config.get("rms_norm_eps"),
        hidden_act=next((config[key] for key in _ACTIVATIONS if config.get(key)), None),
        rope_theta=float(full.get("rope_theta") or 10_000.0),
        rope_scaling=_describe_scaling(full),
        rope_local_theta=float(local["rope_theta"]) if local.get("rope_theta") else None,
        tie_word_embeddings=_is_tied(checkpoint),
        norm="1 + w" if kind in SHIFTED_NORMS else "w",
        max_position_embeddings=config.get("max_position_embeddings"),
    )


def read_derived_facts(text_type: str, config: dict[str, Any], *, tied: bool) -> Facts:
    """Return the facts of a layout's `text_config`; sizes that differ from layer to layer count as 0."""
    full, local = _read_rope(config)
    sizes = {
        key: value if isinstance(value := config.get(key), int) else 0
        for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                    "num_key_value_heads", "vocab_size")
    }  # fmt: skip
    return Facts(
        text_type=text_type,
        **sizes | {"num_key_value_heads": sizes["num_key_value_heads"] or sizes["num_attention_heads"]},
        rms_norm_eps=config["rms_norm_eps"],
        hidden_act=next((config[key] for key in _ACTIVATIONS if config.get(key)), None),
        rope_theta=float(full.get("rope_theta") or 10_000.0),
        rope_scaling=_describe_scaling(full),
        rope_local_theta=float(local["rope_theta"]) if local.get("rope_theta") else None,
        tie_word_embeddings=tied or bool(config.get("tie_word_embeddings")),
        norm="1 + w" if config["shifted_norm"] else "w",
        max_position_embeddings=config.get("max_position_embeddings"),
    )


def read_text_type(checkpoint: Checkpoint) -> str:
    """Return the type of a checkpoint's text model, one of `architectures.TEXTS`; UserError for others."""
    texts = ARCHITECTURES[checkpoint.model_type].texts
    named = resolve_text_type(str(checkpoint.text_config.get("model_type") or ""))
    text_type = texts[0] if len(texts) == 1 and not named else named
    if text_type not in texts:
        raise UserError(
            f"{checkpoint.folder}: the language model of this {checkpoint.model_type} is '{named}', which is "
            f"not supported: use one with {', '.join(texts)}."
        )
    return text_type


def read_interleaved_layers(checkpoint: Checkpoint) -> frozenset[int]:
    """Return the layers of the stored tower that a text model does not have (Mllama's cross-attention)."""
    key = ARCHITECTURES[checkpoint.model_type].interleaved
    if key is None:
        return frozenset()
    with explain_config(checkpoint):
        return frozenset(_fill_config(checkpoint, read_text_type(checkpoint), key).get(key) or ())


def _fill_config(checkpoint: Checkpoint, kind: str, *keys: str) -> dict[str, Any]:
    """Return the text config, with its class's defaults if it lacks something that is needed."""
    config = checkpoint.text_config
    needed = [*_NEEDED, *keys]
    if (
        all(config.get(key) is not None for key in needed)
        and "num_key_value_heads" in config
        and any(config.get(key) for key in _ACTIVATIONS)
        and ("rope_theta" in config or _has_rope(config))
    ):
        return config
    from transformers import AutoConfig

    try:
        whole = AutoConfig.from_pretrained(checkpoint.folder, trust_remote_code=False).get_text_config()
        defaults: dict[str, Any] = whole.to_dict()
    except Exception as error:  # classes check their configs in many ways
        missing = next((key for key in needed if config.get(key) is None), "rope_theta")
        raise UserError(
            f"{checkpoint.folder / 'config.json'} has no {missing}, and transformers cannot fill it in "
            f"({str(error).partition(chr(10))[0]}): restore the file."
        ) from error
    return defaults | {key: value for key, value in config.items() if value is not None and key in needed}


def _has_rope(config: dict[str, Any]) -> bool:
    rope = config.get("rope_parameters")
    return isinstance(rope, dict) and (
        "rope_theta" in rope or any(isinstance(v, dict) for v in rope.values())
    )


def _read_rope(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return RoPE of full-attention layers, and of sliding-window layers where these differ."""
    rope = config.get("rope_parameters")
    if isinstance(rope, dict) and any(isinstance(value, dict) for value in rope.values()):
        return rope.get("full_attention") or {}, rope.get("sliding_attention") or {}
    if isinstance(rope, dict) and rope:
        return {"rope_theta": config.get("rope_theta"), **rope}, {}
    local = config.get("rope_local_base_freq")
    scaling = config.get("rope_scaling") or {}
    return {"rope_theta": config.get("rope_theta"), **scaling}, {"rope_theta": local} if local else {}


def _describe_scaling(rope: dict[str, Any]) -> str:
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind in ("default", "mrope"):
        return "none"
    ignored = {"rope_type", "type", "rope_theta", *_ONLY_FOR_IMAGES}
    numbers = {key: value for key, value in sorted(rope.items()) if key not in ignored}
    return " ".join([kind, *(f"{key} {json.dumps(value)}" for key, value in numbers.items())])


def _is_tied(checkpoint: Checkpoint) -> bool:
    """Whether the head is the embedding: it is not stored, or the config ties it."""
    if not any(name in checkpoint.tensors for name in STORED_HEADS):
        return True
    return any(config.get("tie_word_embeddings") for config in (checkpoint.config, checkpoint.text_config))
