"""Replace modules' forward passes for a while, below the hooks of torch and accelerate."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Forward = Callable[[Tensor], Tensor]


class Interceptions:
    """Replace forward passes by name; at most one per module, and its original comes back in the end."""

    def __init__(self) -> None:
        self._originals: dict[str, tuple[nn.Module, Forward]] = {}

    def set(self, name: str, module: nn.Module, forward: Forward) -> Forward:
        """Let `forward` compute the module's output, instead of its original, which is returned."""
        slot = _slot(module)
        _, original = self._originals.setdefault(name, (module, getattr(module, slot)))
        setattr(module, slot, forward)
        return original

    def release(self, name: str) -> Forward:
        """Put the module's original forward pass back, and return it."""
        module, original = self._originals.pop(name)
        delattr(module, _slot(module))
        if getattr(module, _slot(module), None) != original:  # it was not the class's
            setattr(module, _slot(module), original)
        return original

    def release_all(self) -> None:
        """Put every module's original forward pass back."""
        for name in list(self._originals):
            self.release(name)


def find_replacement(module: nn.Module) -> object:
    """Return what computes the module's output instead of its original forward pass, or None."""
    return vars(module).get(_slot(module))


def _slot(module: nn.Module) -> str:
    """Return the attribute that computes: accelerate (several GPUs, offloading) wraps `forward` around it."""
    return "_old_forward" if hasattr(module, "_hf_hook") else "forward"


def find_device(module: nn.Linear) -> torch.device:
    """Return where a linear layer computes; an offloaded weight is there only while it does."""
    device = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
    if module.weight.device.type != "meta" or device is None:
        return module.weight.device
    return torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
