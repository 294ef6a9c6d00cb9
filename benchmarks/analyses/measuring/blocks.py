"""Cut the layers, or the singular directions, of a model into blocks, and name the modules of a layer."""

from collections.abc import Iterator
from dataclasses import dataclass

from frism.method.ranges import Count, Index
from frism.triples.scopes import split_name

MODULES = ("attention", "mlp")
ALL = "all"
THIRDS = ("early", "middle", "late")  # of the depth, as `cut_evenly` cuts it


@dataclass(frozen=True)
class Window:
    """Say which layers are taken together: `block`, the next ones `stride` layers on (0: side by side)."""

    block: Count = 1
    stride: Index = 0

    def __post_init__(self) -> None:
        if self.stride > self.block:
            raise ValueError(
                f"stride {self.stride} leaves layers out between blocks of {self.block}: choose one of at"
                " most `block`."
            )

    def slide(self, layers: int) -> Iterator[range]:
        """Yield blocks of so many layers; the last one ends with the last layer."""
        for first in range(0, layers, self.stride or self.block):
            yield range(first, min(first + self.block, layers))
            if first + self.block >= layers:
                return


def cut_evenly(total: int, parts: int) -> list[range]:
    """Cut `total` into so many parts of nearly one size, none of them empty."""
    parts = min(parts, total)
    return [range(part * total // parts, (part + 1) * total // parts) for part in range(parts)]


def find_module(name: str) -> str:
    """Return the module that a layer's tensor belongs to: its norm goes with what it stands before.

    Both together hold every tensor of a layer. Biases and norms of queries and keys are the attention's.
    """
    owner = split_name(name)[1].split(".")[0]
    if owner.endswith("norm"):
        return "attention" if owner.startswith("input") else "mlp"
    return "attention" if "att" in owner else "mlp"


def select(names: list[str], layers: range, module: str, total: int) -> list[str]:
    """Select the tensors of some layers and a module; what lies behind the layers goes with the last one.

    Args:
        total: how many layers there are.
    """
    chosen = []
    for name in names:
        layer = split_name(name)[0]
        if (total - 1 if layer is None else layer) not in layers:
            continue
        if module in (ALL, "mlp" if layer is None else find_module(name)):
            chosen.append(name)
    return chosen
