"""The shape of a vision-language model as costs see it: matrices and values, from its config alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from frism.errors import UserError, suggest
from frism.files import read_json

FILE = Path(__file__).with_name("published_shapes.yaml")


@dataclass(frozen=True)
class Matrix:
    """One matrix of a decoder layer: its module's name, d_out rows and d_in columns."""

    name: str
    rows: int
    columns: int

    @property
    def values(self) -> int:
        """Entries."""
        return self.rows * self.columns

    @property
    def full_rank(self) -> int:
        """Singular directions of the whole matrix."""
        return min(self.rows, self.columns)

    def rank(self, rank: int | None) -> int:
        """Directions kept: `rank`, clipped to what there are; None keeps all."""
        return min(rank or self.full_rank, self.full_rank)


@dataclass(frozen=True)
class TextShape:
    """The language model: widths in values, counts; `tied`: the head is the embedding."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """The seven matrices of one layer, in the order of the scope `mat`."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return (
            Matrix("self_attn.q_proj", queries, self.hidden),
            Matrix("self_attn.k_proj", keys, self.hidden),
            Matrix("self_attn.v_proj", keys, self.hidden),
            Matrix("self_attn.o_proj", self.hidden, queries),
            Matrix("mlp.gate_proj", self.intermediate, self.hidden),
            Matrix("mlp.up_proj", self.intermediate, self.hidden),
            Matrix("mlp.down_proj", self.hidden, self.intermediate),
        )

    @property
    def layer_values(self) -> int:
        """Entries of one layer's matrices."""
        return sum(matrix.values for matrix in self.matrices)

    @property
    def matrix_values(self) -> int:
        """Entries of all layers' matrices: what the scope `mat` merges."""
        return self.layers * self.layer_values

    @property
    def head_values(self) -> int:
        """Entries of the output head."""
        return self.vocabulary * self.hidden

    @property
    def values(self) -> int:
        """Entries of the whole language model, but for norms and biases."""
        return self.matrix_values + self.head_values * (1 if self.tied else 2)

    def gates(self, rank: int | None) -> int:
        """Learned gates at a rank, a truncated matrix's tail not counted."""
        return self.layers * sum(matrix.rank(rank) for matrix in self.matrices)

    def factor_values(self, rank: int | None) -> int:
        """Entries of U and V of every matrix at a rank."""
        return self.layers * sum(m.rank(rank) * (m.rows + m.columns) for m in self.matrices)


@dataclass(frozen=True)
class TowerShape:
    """The vision tower: `merge` patches become one visual token; `gated`: its MLP has three matrices."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    patch: int
    merge: int
    gated: bool

    @property
    def layer_values(self) -> int:
        """Entries of one block's matrices."""
        return 4 * self.hidden**2 + (3 if self.gated else 2) * self.hidden * self.intermediate

    def values(self, out: int) -> int:
        """Entries of tower and projector, whose output is `out` wide."""
        wide = self.merge * self.hidden
        return self.layers * self.layer_values + wide * (wide + out) + 6 * self.patch**2 * self.hidden


@dataclass(frozen=True)
class Shape:
    """A vision-language model: its language model, its tower, and bytes of a stored value."""

    text: TextShape
    tower: TowerShape
    stored: int = 2

    @property
    def values(self) -> int:
        """Entries of the whole model."""
        return self.text.values + self.tower.values(self.text.hidden)

    @property
    def bytes(self) -> int:
        """Size of the checkpoint."""
        return self.stored * self.values

    @property
    def triple_bytes(self) -> int:
        """Size of B, V and R together."""
        return self.bytes + 2 * self.stored * self.text.values

    @classmethod
    def of(cls, config: Mapping[str, Any], source: str = "the config") -> "Shape":
        """Read a config.json's content. Raises UserError naming `source` for a key that is missing."""
        nested = config.get("text_config")
        text = nested if isinstance(nested, Mapping) else config
        vision = config.get("vision_config")
        try:
            if not isinstance(vision, Mapping):
                raise KeyError("vision_config")
            heads = int(text["num_attention_heads"])
            return cls(
                TextShape(
                    hidden=int(text["hidden_size"]),
                    intermediate=int(text["intermediate_size"]),
                    layers=int(text["num_hidden_layers"]),
                    heads=heads,
                    kv_heads=int(text.get("num_key_value_heads") or heads),
                    head_dim=int(text.get("head_dim") or int(text["hidden_size"]) // heads),
                    vocabulary=int(text["vocab_size"]),
                    tied=bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", False))),
                ),
                _tower(vision),
                _BYTES.get(str(config.get("dtype") or config.get("torch_dtype") or "bfloat16"), 2),
            )
        except KeyError as error:
            raise UserError(f"{source} has no {error.args[0]}: restore the file.") from error


_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def _tower(vision: Mapping[str, Any]) -> TowerShape:
    """Towers name the same things differently: Qwen's depth is others' num_hidden_layers."""
    layers = vision.get("depth", vision.get("num_hidden_layers", 24))
    # Qwen2-VL calls the tower's width embed_dim, and hidden_size what comes out of the projector.
    hidden = int(vision.get("embed_dim") or vision.get("hidden_size") or 1152)
    ratio = vision.get("mlp_ratio", 4)
    patch = vision.get("patch_size", 14)
    merge = vision.get("spatial_merge_size", 2)
    return TowerShape(
        layers=int(layers),
        hidden=hidden,
        intermediate=int(vision.get("intermediate_size") or ratio * hidden),
        heads=int(vision.get("num_heads") or vision.get("num_attention_heads") or 16),
        patch=int(patch[0] if isinstance(patch, list | tuple) else patch),
        merge=int(merge) ** 2,
        gated="fullatt_block_indexes" in vision,
    )


@cache
def published() -> dict[str, Shape]:
    """Shapes of released checkpoints, by the last part of their hub id."""
    table = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {name: Shape.of(config, f"{FILE.name}: {name}") for name, config in table.items()}


def shape_of(source: str | Path) -> Shape:
    """The shape of a checkpoint: from its config.json, or by its name where it is not downloaded yet.

    Raises UserError when there is no such folder and its name is not in the table.
    """
    folder = Path(source)
    if (folder / "config.json").is_file():
        return Shape.of(read_json(folder / "config.json"), str(folder / "config.json"))
    name = folder.name.partition("@")[0]
    known = published()
    if name not in known:
        raise UserError(
            f"{source} is not on this disk and {name} is no checkpoint whose shape is known: download its"
            f" config.json into that folder.{suggest(name, known)}"
        )
    return known[name]
