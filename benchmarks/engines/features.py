"""What the vision tower gives for a batch of pictures, as models read it and as files hold it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Features:
    """Projected pictures of a batch, for `mm_encoder_outputs={"image": ...}` of a model's forward pass.

    Attributes:
        pooler_output: all pictures in one tensor, or one tensor each.
        deepstack_features: for some families the same again, for each of the language tower's first layers.
    """

    pooler_output: Any
    deepstack_features: Any = None

    @classmethod
    def of(cls, output: Any) -> "Features":
        """Take from `get_image_features` what language towers read; hidden states are many times that."""
        return cls(output.pooler_output, getattr(output, "deepstack_features", None))

    def to_tensors(self) -> dict[str, Tensor]:
        """Return tensors by flat names, such as deepstack_features.0.12."""
        return {path: tensor for name, value in vars(self).items() for path, tensor in _flatten(name, value)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "Features":
        """Rebuild what `to_tensors` flattened."""
        result: dict[str, Any] = {}
        for path, tensor in tensors.items():
            name, *places = path.split(".")
            _insert(result, [name, *map(int, places)], tensor)
        return cls(**{name: _nest(value) for name, value in result.items()})


def _flatten(path: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield path, value
    elif value is not None:
        for place, part in enumerate(value):
            yield from _flatten(f"{path}.{place}", part)


def _insert(tree: dict[Any, Any], path: list[Any], tensor: Tensor) -> None:
    for step in path[:-1]:
        tree = tree.setdefault(step, {})
    tree[path[-1]] = tensor


def _nest(value: Any) -> Any:
    """Lists in place of dicts with places for keys."""
    return [_nest(value[place]) for place in sorted(value)] if isinstance(value, dict) else value
