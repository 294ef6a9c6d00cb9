"""Gates on a running model: one set of weights that is the unmodified VLM or the gated merge."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frism.spectra.spectra import Spectra
from frism.spectra.spectrum import Spectrum


class GatedInjection:
    """Side branches y += strength * U diag(sigmoid(g) S) V^T x on chosen linear layers.

    FRISM eq. 7: W + strength * U diag(sigmoid(g) * S) V^T, applied without forming the sum, so that
    only the gates need gradients and no dL/dW is ever built. With the branches off the model is the
    frozen teacher, with them on the student.

    Args:
        modules: the linear layer of each matrix, by canonical tensor name.
        spectra: the SVD of tau_R of each matrix, same keys.
        strength: lambda_lrm, the factor outside the gates.
    """

    def __init__(
        self, modules: Mapping[str, nn.Linear], spectra: Mapping[str, Spectrum], strength: float
    ) -> None:
        self.modules, self.spectra, self.strength = modules, spectra, strength
        # Zero logits open every gate to one half (paper: g initialised to zero).
        self.logits = {
            name: torch.zeros_like(spectrum.s, requires_grad=True) for name, spectrum in spectra.items()
        }
        self.total_energy = torch.stack([s.s.square().sum() for s in spectra.values()]).sum()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Branches on, as forward hooks, inside the `with` block."""
        hooks = [module.register_forward_hook(self._hook(name)) for name, module in self.modules.items()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], Tensor]:
        spectrum, logits = self.spectra[name], self.logits[name]

        def add_branch(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            gains = self.strength * torch.sigmoid(logits) * spectrum.s
            inner = nn.functional.linear(inputs[0].to(gains.dtype), spectrum.vh) * gains
            return output + nn.functional.linear(inner, spectrum.u).to(output.dtype)

        return add_branch

    def injected_energy(self) -> Tensor:
        """sum_l ||sigmoid(g_l) S_l||^2 / sum_l ||S_l||^2, in (0, 1); one quarter at the start.

        Eq. 9 of the paper with the opposite sign; its normaliser (appendix H) is not public, this is
        the simplest one that does not depend on the model's scale. lambda_lrm stays outside, as written.
        """
        parts = [self.spectra[n].energy(torch.sigmoid(g)) for n, g in self.logits.items()]
        return torch.stack(parts).sum() / self.total_energy

    def quantiles(self, *q: float) -> list[float]:
        """Quantiles of all open fractions sigmoid(g), over every direction of every matrix."""
        opened = torch.cat([torch.sigmoid(g.detach()).flatten() for g in self.logits.values()])
        return [torch.quantile(opened, x).item() for x in q]


@dataclass(frozen=True)
class Gain:
    """Frobenius norms of one matrix: what the gates inject, and tau_R's own (fp32 scalars)."""

    injected: Tensor
    whole: Tensor


def gate_gains(spectra: Spectra, fitted: Mapping[str, Tensor], strength: float) -> dict[str, Gain]:
    """Injected and whole norm of tau_R for every matrix that `fitted` holds a "<name>/open" of."""
    result = {}
    for key, opened in fitted.items():
        if key.endswith("/open"):
            name = key.removesuffix("/open")
            spectrum = spectra.of(name)
            injected = strength * spectrum.energy(opened, fitted.get(f"{key}_tail")).sqrt()
            result[name] = Gain(injected, spectrum.total.sqrt())
    return result


def injected(
    vlm: Tensor, base: Tensor, lrm: Tensor, spectrum: Spectrum, fitted: Mapping[str, Tensor], strength: float
) -> Tensor:
    """FRISM eq. 7 for one matrix (d_out, d_in), fp32: vlm + strength * the gated task vector.

    `fitted`: "open", the fraction of every direction that is injected, (k,); where the spectrum has a tail
    also "open_tail", a scalar.
    """
    return vlm + strength * spectrum.gated(fitted["open"], fitted.get("open_tail"), lrm - base)
