"""Read a vision-language model's sizes: transformers' own class of its config, on the meta device."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from frism.checkpoints.dtypes import FLOATS, NAMES
from frism.errors import UserError, suggest
from frism.files import read_json

CHECKPOINTS = Path(__file__).with_name("plan_checkpoints.yaml")
BYTES = {name: FLOATS[short] for name, short in NAMES.items()}


class Model:
    """Holds the sizes of a vision-language model without its values.

    Args:
        source: a folder with a config.json, or a name in plan_checkpoints.yaml.
        scope: which tensors are merged.

    Attributes:
        values: parameters of the whole model; `tower`: of tower and projector; `body`: of the language model
            but its embedding; `head`: of the output head, which may be the embedding.
        text: the language model's module. matrices: (d_out, d_in) of every matrix in scope.
        merged: values of all tensors in scope. bytes, merged_bytes: of the checkpoint, and of those in it.
        heads: of attention. queries, keys: width of all heads together.
        merge: patches that become one visual token.

    Raises UserError when the checkpoint's config is not known or makes no such model.
    """

    def __init__(self, source: str, scope: str = "mat") -> None:
        import torch
        from transformers import AutoConfig, AutoModelForImageTextToText

        from frism.triples.architectures import ARCHITECTURES
        from frism.triples.scopes import classify, in_scope

        content = dict(_read_config(source))
        name = content.pop("model_type", None)
        if name not in ARCHITECTURES or not ARCHITECTURES[name].is_vlm:
            raise UserError(
                f"{source} is of the type {name}, which is not a known vision-language model (known:"
                f" {', '.join(n for n, a in ARCHITECTURES.items() if a.is_vlm)}): name another as triple.vlm."
            )
        try:
            config = AutoConfig.for_model(name, **content)
            with torch.device("meta"):
                model = AutoModelForImageTextToText.from_config(config)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise UserError(
                f"transformers makes no model of {source}'s config.json ({error}): correct the file."
            ) from error
        self.text = model.get_submodule(ARCHITECTURES[name].module)
        text = config.get_text_config()
        self.head: int = model.get_output_embeddings().weight.numel()
        self.values: int = sum(p.numel() for p in model.parameters())
        embedding, within = (
            model.get_input_embeddings().weight,
            sum(p.numel() for p in self.text.parameters()),
        )
        tied = model.get_output_embeddings().weight is embedding
        self.tower = self.values - within - (0 if tied else self.head)
        self.body: int = within - embedding.numel()
        stored = BYTES.get(str(content.get("dtype") or content.get("torch_dtype") or "bfloat16"), 2)
        scoped = [(n, p) for n, p in self.text.named_parameters() if in_scope(n, scope)]
        self.merged = sum(p.numel() for _, p in scoped)
        self.bytes, self.merged_bytes = stored * self.values, stored * self.merged
        self.matrices: list[tuple[int, int]] = [
            (p.shape[0], p.shape[1]) for n, p in scoped if classify(n) == "matrix"
        ]
        self.layers, self.hidden = int(text.num_hidden_layers), int(text.hidden_size)
        self.heads = int(text.num_attention_heads)
        width = int(getattr(text, "head_dim", None) or self.hidden // self.heads)
        self.queries, self.keys = self.heads * width, int(text.num_key_value_heads) * width
        vision = config.vision_config
        self.tower_layers = int(getattr(vision, "depth", None) or vision.num_hidden_layers)
        patch = vision.patch_size
        self.patch = int(patch[0] if isinstance(patch, list | tuple) else patch)
        self.merge = _count_patches(config)

    def directions(self, rank: int | None) -> list[int]:
        """List the numbers of singular directions kept of every matrix."""
        return [min(rank or min(shape), *shape) for shape in self.matrices]

    def factors(self, rank: int | None) -> int:
        """Count the values of U and V of every matrix."""
        return sum(
            k * (rows + columns)
            for k, (rows, columns) in zip(self.directions(rank), self.matrices, strict=True)
        )

    def cache(self, dtype: str) -> int:
        """Count the bytes of the keys and values of one token in every layer."""
        return 2 * self.layers * self.keys * BYTES[dtype]

    def patches(self, pixels: int) -> int:
        """Count the patches of a picture of so many pixels, whole visual tokens."""
        return max(1, round(pixels / self.patch**2 / self.merge)) * self.merge


@lru_cache(maxsize=4)
def load_model(source: str, scope: str) -> Model:
    """Return a model, made once."""
    return Model(source, scope)


def _read_config(source: str) -> Mapping[str, Any]:
    folder = Path(source)
    if (folder / "config.json").is_file():
        return read_json(folder / "config.json")
    known = yaml.safe_load(CHECKPOINTS.read_text(encoding="utf-8"))
    name = folder.name.partition("@")[0]
    if name not in known:
        raise UserError(
            f"{source} is not on this disk, and the sizes of {name} are not known: download its"
            f" config.json into that folder.{suggest(name, known)}"
        )
    config: Mapping[str, Any] = known[name]
    return config


def _count_patches(config: Any) -> int:
    """Count the patches, a square of them, that become one visual token, by the names families give it."""
    side = getattr(config.vision_config, "spatial_merge_size", None)
    side = side or getattr(config, "scale_factor", None) or 1 / getattr(config, "downsample_ratio", 1)
    return round(side) ** 2
