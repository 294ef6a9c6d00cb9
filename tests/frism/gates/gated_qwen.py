"""A tiny Qwen2 with gates on every matrix, and the same by plain autograd through merged weights."""

from typing import Any

import torch
from torch import Tensor, nn

from frism.gates.gated_model import GatedInjection
from frism.gates.parametrisation import Gates
from frism.spectra.spectrum import Spectrum
from tests.support import architectures

STRENGTH = 1.3
GATES = {
    "sigmoid": Gates(),
    "free": Gates("free"),
    "blocks": Gates(block=3),
    "shared": Gates(shared=True),
}


class Case:
    """A tiny Qwen2 with a random task vector on every matrix of its layers."""

    def __init__(
        self, dtype: torch.dtype = torch.float64, rank: int | None = None, bias: bool = True
    ) -> None:
        self.model = architectures.text_model("qwen2").to(dtype).eval().requires_grad_(False)
        generator = torch.Generator().manual_seed(7)
        self.modules = {
            f"{place.removeprefix('model.')}.weight": module
            for place, module in self.model.named_modules()
            if isinstance(module, nn.Linear) and "layers" in place
        }
        self.tau = {
            name: (0.05 * torch.randn(module.weight.shape, generator=generator, dtype=torch.float64)).to(
                torch.promote_types(dtype, torch.float32)
            )
            for name, module in self.modules.items()
        }
        self.spectra = {name: spectrum(tau, rank) for name, tau in self.tau.items()}
        self.ids = torch.randint(3, 90, (2, 9), generator=generator)
        self.reads: list[str] = []

    def injection(self, gates: Gates = GATES["sigmoid"], **options: Any) -> GatedInjection:
        def read(name: str) -> Tensor:
            self.reads.append(name)
            return self.tau[name]

        options = {"task_vectors": read, **options}
        made = GatedInjection(self.modules, self.spectra, STRENGTH, gates, **options)
        generator = torch.Generator().manual_seed(11)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter))
        return made

    def loss(self, output: Any) -> Tensor:
        return output.logits.log_softmax(-1)[..., 5].mean()

    def dense(self, injection: GatedInjection, *, alpha: float = 0.0) -> tuple[Tensor, list[Tensor]]:
        """Loss and gradients of all parameters by plain autograd through merged weights."""
        injection.restore()
        leaves = [p.detach().clone().requires_grad_() for p in injection.parameters()]
        logits = dict(zip(injection.logits, leaves, strict=False))
        tails = dict(zip(injection.tails, leaves[len(logits) :], strict=True))
        weights, energy, total = {}, torch.zeros(()), torch.zeros(())
        for name, own in self.spectra.items():
            k, gates = len(own.s), injection.gates
            opened = gates.open_fractions(logits[name], k)
            rest = self.tau[name] - own.u @ torch.diag(own.s) @ own.vh
            tail = gates.value(tails[name]) if name in tails else gates.value(logits[name][0])
            change = own.u @ torch.diag(opened * own.s) @ own.vh + tail * rest
            weights[f"model.{name}"] = self.modules[name].weight + STRENGTH * change
            energy = energy + change.square().sum()
            total = total + self.tau[name].square().sum()
        loss = self.loss(torch.func.functional_call(self.model, weights, (self.ids,)))
        return loss, list(torch.autograd.grad(loss - alpha * energy / total, leaves))

    def gated(self, injection: GatedInjection, *, alpha: float = 0.0) -> tuple[Tensor, list[Tensor]]:
        with injection.apply():
            loss = self.loss(self.model(self.ids))
            total = loss - alpha * injection.injected_energy()
            return loss, list(torch.autograd.grad(total, injection.parameters()))


def spectrum(tau: Tensor, rank: int | None) -> Spectrum:
    u, s, vh = torch.linalg.svd(tau, full_matrices=False)
    if rank is None or rank >= len(s):
        return Spectrum(u, s, vh)
    return Spectrum(u[:, :rank], s[:rank], vh[:rank], tail=s[rank:].square().sum())
