"""Hold what `fit` returns: numbers of the whole model, of single tensors, and a learning curve."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from frism.errors import UserError
from frism.method.parameters import Value

if TYPE_CHECKING:  # seconds to import; a recipe without coefficients does without
    from torch import Tensor

CURVE = "curve"


@dataclass(frozen=True)
class Fitted:
    """Hold what a method's `fit` returns.

    Attributes:
        model: entries of the whole model, by key.
        tensors: entries of single tensors, by canonical name and key.
        curve: one value per step, by quantity: shown, and never merged.
        params: the variant's parameters, where another variant starts from it.
    """

    model: "Mapping[str, Tensor]" = field(default_factory=dict)
    tensors: "Mapping[str, Mapping[str, Tensor]]" = field(default_factory=dict)
    curve: "Mapping[str, Tensor]" = field(default_factory=dict)
    params: Mapping[str, Value] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.model or self.tensors or self.curve)

    def select(self, name: str) -> "dict[str, Tensor]":
        """Select what `merge` gets for one tensor: its own entries over those of the whole model."""
        return {**self.model, **self.tensors.get(name, {})}

    def flatten(self) -> "dict[str, Tensor]":
        """Return all entries by name, as a file holds them: "key", "tensor/key", "curve/quantity"; sorted."""
        entries = dict(self.model)
        for name, coefficients in self.tensors.items():
            entries |= {f"{name}/{key}": value for key, value in coefficients.items()}
        entries |= {f"{CURVE}/{key}": value for key, value in self.curve.items()}
        return dict(sorted(entries.items()))

    @classmethod
    def from_flat(cls, entries: "Mapping[str, Tensor]", params: Mapping[str, Value] | None = None) -> Self:
        """Invert `flatten`, in its order: safetensors reads a file in a random one."""
        model: dict[str, Tensor] = {}
        tensors: dict[str, dict[str, Tensor]] = {}
        for full, value in sorted(entries.items()):
            name, slash, key = full.partition("/")
            if slash:
                tensors.setdefault(name, {})[key] = value
            else:
                model[name] = value
        return cls(model, tensors, tensors.pop(CURVE, {}), params or {})

    def validate(self, method: str) -> Self:
        """Return the same as contiguous CPU tensors. Raises UserError for a value that is not finite."""
        import torch

        entries = {}
        for key, value in self.flatten().items():
            if not isinstance(value, torch.Tensor):
                raise UserError(f"method {method} fitted {type(value).__name__} for {key}, not a tensor.")
            tensor = value.detach().cpu().contiguous()
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise UserError(
                    f"method {method} fitted NaN or infinite values for {key}: lower its learning rate."
                )
            entries[key] = tensor
        return type(self).from_flat(entries, self.params)
