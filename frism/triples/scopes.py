"""Define scopes: which tensors of a language model a method may touch, and what each canonical name is.

Canonical names are those of the text model: "layers.12.self_attn.q_proj.weight", "norm.weight",
"embed_tokens.weight", "lm_head.weight".
"""

import re
from typing import Literal, get_args

from frism.errors import UserError, suggest
from frism.triples.architectures import EMBEDDING, FINAL_NORM, HEAD

Kind = Literal["matrix", "bias", "norm", "embedding", "output head"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DEFAULT_SCOPE, WIDEST_SCOPE, WHOLE_SCOPE = "mat", "mat+bias+norm", "all"

_MATRICES = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
)  # fmt: skip
_WEIGHTS = tuple(f"{matrix}.weight" for matrix in _MATRICES)
_BIASES = tuple(f"{matrix}.bias" for matrix in _MATRICES)
_NORMS = (
    "input_layernorm.weight", "post_attention_layernorm.weight", "self_attn.q_norm.weight",
    "self_attn.k_norm.weight", "pre_feedforward_layernorm.weight", "post_feedforward_layernorm.weight",
)  # fmt: skip
# Which tensors of a layer a method may touch. "all" is for merging text models with each other: it adds
# embedding and head, which a vision-language model always keeps.
SCOPES: dict[str, tuple[str, ...]] = {
    DEFAULT_SCOPE: _WEIGHTS,
    "mat_no_qk": _WEIGHTS[2:],  # without the two that meet rotary positions
    "mat_attn": _WEIGHTS[:4],
    "mat_mlp": _WEIGHTS[4:],
    "mat+bias": _WEIGHTS + _BIASES,
    WIDEST_SCOPE: _WEIGHTS + _BIASES + _NORMS,
    WHOLE_SCOPE: _WEIGHTS + _BIASES + _NORMS,
}
# Which tensors outside the layers belong to it.
OUTSIDE: dict[str, tuple[str, ...]] = {
    WIDEST_SCOPE: (FINAL_NORM,),
    WHOLE_SCOPE: (FINAL_NORM, EMBEDDING, HEAD),
}
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(_WEIGHTS, "matrix"),
    **dict.fromkeys(_BIASES, "bias"),
    **dict.fromkeys(_NORMS, "norm"),
    FINAL_NORM: "norm",
    EMBEDDING: "embedding",
    HEAD: "output head",
}
_KINDS_IN_SCOPE: dict[str, tuple[Kind, ...]] = {
    DEFAULT_SCOPE: ("matrix",),
    "mat+bias": ("matrix", "bias"),
    WIDEST_SCOPE: ("matrix", "bias", "norm"),
    WHOLE_SCOPE: ("matrix", "bias", "norm", "embedding", "output head"),
}
_IN_LAYER = re.compile(r"layers\.(\d+)\.(.+)")


def split_name(name: str) -> tuple[int | None, str]:
    """Return (layer, the rest) of a name; the layer is None outside the layers."""
    match = _IN_LAYER.fullmatch(name)
    return (int(match[1]), match[2]) if match else (None, name)


def classify(name: str) -> Kind | None:
    """Return the kind of tensor behind a canonical name, None for a name that no text model here has."""
    layer, rest = split_name(name)
    kind = _KINDS.get(rest)
    return kind if (layer is None) == (rest in OUTSIDE[WHOLE_SCOPE]) else None


def in_scope(name: str, scope: str) -> bool:
    """Whether a scope holds this canonical name."""
    layer, rest = split_name(name)
    return rest in (OUTSIDE.get(scope, ()) if layer is None else SCOPES[scope])


def holds(scope: str, kind: str | None) -> bool:
    """Whether a scope holds tensors of this kind, by which derived architectures are merged."""
    return kind in _KINDS_IN_SCOPE[scope]


def check_scope(scope: str) -> None:
    """Raise UserError for an unknown scope."""
    if scope not in SCOPES:
        raise UserError(
            f"unknown scope '{scope}': choose one of {', '.join(SCOPES)}.{suggest(scope, SCOPES)}"
        )
