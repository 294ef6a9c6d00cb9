"""Put gates on a running model: one set of weights is the unmodified VLM or the gated merge."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from frism.gates.branch import RebuiltWeight, SideBranch, WholeMatrix, rebuilding_pays
from frism.gates.interception import Interceptions, find_device, find_replacement
from frism.gates.parametrisation import PAPER, Gates
from frism.gates.placement import Placement, PlacementMode
from frism.gates.tails import TailWeights
from frism.gates.task_vectors import Rows
from frism.spectra.spectrum import Spectrum
from frism.triples.scopes import split_name

TINY = 1e-37  # in place of no energy at all, where R equals B


class GatedInjection:
    """Run W + strength * (U diag(open * S) V^T + open_tail * tail) on chosen linear layers (FRISM eq. 7).

    Outside `apply()` the model is the frozen teacher, bit for bit; inside it the student, in which gates
    get gradients and nothing else does. Per matrix and number of tokens the cheaper of two ways is taken: a
    side branch, or the merged matrix formed anew (`frism.gates.branch`). Gates are fp32, whatever the model's
    dtype (float64 where its weights are); the products with U and V run in the weights' dtype on a GPU and in
    the gates' on the CPU. A tail is kept inside the layer's own weight (`frism.gates.tails`).

    Args:
        modules: the linear layer of each matrix, by canonical tensor name, in the model's order.
        spectra: the spectrum of tau_R of each matrix; read once per matrix, in that order, so that a mapping
            that reads from a folder never holds more than one.
        strength: lambda_lrm, the factor outside the gates.
        gates: what is learned per matrix.
        task_vectors: tau_R of a matrix (d_out, d_in), fp32, by rows; needed where spectra are truncated.
        factors: where U and V lie, see `frism.gates.placement`.

    Attributes:
        logits: what is learned, by name, (gates.count(k),). tails: the logit of each tail's gate, a scalar;
            none at full rank or where one gate is shared by everything.

    Raises UserError for a truncated spectrum on a layer whose weight is offloaded.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Linear],
        spectra: Mapping[str, Spectrum],
        strength: float,
        gates: Gates = PAPER,
        *,
        task_vectors: Callable[[str], Rows] | None = None,
        factors: PlacementMode = "auto",
    ) -> None:
        self.modules, self.strength, self.gates = dict(modules), strength, gates
        self.logits: dict[str, Tensor] = {}
        self._of_layers: dict[int, Tensor] = {}
        self.tails: dict[str, Tensor] = {}
        self._singular_values: dict[str, Tensor] = {}
        self._tail_energies: dict[str, Tensor] = {}
        self._placement = Placement(factors)
        self._task_vectors = task_vectors or _no_task_vectors
        for name, module in self.modules.items():
            earlier = getattr(getattr(find_replacement(module), "func", None), "__self__", None)
            if isinstance(earlier, GatedInjection):
                earlier.restore()  # its tails are not V's weights
            spectrum = spectra[name]
            self._add(name, module, spectrum, has_task_vectors=task_vectors is not None)
        # Not the spectra's own totals, which are fp32 where a float64 model's gates are not.
        totals = [s.square().sum() for s in self._singular_values.values()]
        self._total_energy = _sum([*totals, *self._tail_energies.values()])
        truncated = {name: self.modules[name] for name in self.tails}
        self._weights = TailWeights(truncated, self._task_vectors, strength)
        self._merged_version: dict[str, int] = {}
        self._tail_updates, self._active = True, False
        self._interceptions = Interceptions()

    def _add(self, name: str, module: nn.Linear, spectrum: Spectrum, has_task_vectors: bool) -> None:
        if spectrum.tail is not None and not has_task_vectors:
            raise ValueError(f"{name}: a truncated spectrum needs the task vectors")
        weight, device, k = module.weight, find_device(module), len(spectrum.s)
        dtype = torch.float64 if weight.dtype == torch.float64 else spectrum.s.dtype
        factors: tuple[Tensor, ...] = (spectrum.u, spectrum.vh)
        if self.gates.shared:  # then the whole matrix is cheaper than its directions
            ones = torch.ones_like(spectrum.s)
            factors = (self._task_vectors(name)[:] if has_task_vectors else spectrum.gate(ones),)
        self._placement.put(name, factors, device, weight.dtype if device.type == "cuda" else dtype)
        self._singular_values[name] = spectrum.s.to(device, dtype)
        initial = self.gates.initial_logits(k, dtype, device).requires_grad_()
        layer = split_name(name)[0] if self.gates.by_layer else None
        self.logits[name] = initial if layer is None else self._of_layers.setdefault(layer, initial)
        if spectrum.tail is not None:
            self._tail_energies[name] = spectrum.tail.to(device, dtype)
            if not self.gates.shared:
                self.tails[name] = self.gates.initial_logits(1, dtype, device).squeeze(0).requires_grad_()

    def parameters(self) -> list[Tensor]:
        """Return everything that is learned: the logits of all matrices, then those of the tails."""
        logits = {id(tensor): tensor for tensor in self.logits.values()}  # of a layer once
        return [*logits.values(), *self.tails.values()]

    def set_tail_updates(self, on: bool) -> None:
        """Let tails' gates get gradients (as at first) or not; they cost reading tau_R and one product."""
        self._tail_updates = on

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Run the student inside the `with` block; the backward pass belongs inside it too.

        Where there are tails, a layer's weight goes back to V's when the layer first runs afterwards, so
        that leaving and entering again costs nothing; `restore()` does it for all at once. Inside another
        such block it changes nothing.
        """
        if self._active:
            yield
            return
        self._active = True
        self._merged_version.clear()
        for name, module in self.modules.items():
            self._interceptions.set(name, module, partial(self._run, name, module))
        try:
            yield
        finally:
            self._active = False
            self._interceptions.release_all()
            for name in self._weights.merged:
                module = self.modules[name]
                self._interceptions.set(name, module, partial(self._run_as_teacher, name, module))

    def restore(self) -> None:
        """Give every layer V's own weight back now. Not inside `apply()`."""
        self._interceptions.release_all()
        for name in list(self._weights.merged):
            self._weights.restore(name)

    def open_fractions(self) -> dict[str, Tensor]:
        """Return the open fraction of every direction, (k,), by matrix; differentiable."""
        return {name: self._openness(name) for name in self.logits}

    def open_tail_fractions(self) -> dict[str, Tensor]:
        """Return the tail's open fraction, a scalar, by matrix whose spectrum has one; differentiable."""
        return {name: self._tail_openness(name) for name in self._tail_energies}

    def injected_energy(self, normaliser: Literal["energy", "none"] = "energy") -> Tensor:
        """Return the sum over matrices of ||open * S||^2 (and the tail's) over that of fully open gates.

        In (0, 1) for sigmoid gates, one quarter at the start. Eq. 9 of the paper with the opposite sign; its
        normaliser (appendix H) is not public, this is the simplest one that does not depend on the model's
        scale. "none" leaves it out. lambda_lrm stays outside, as written.
        """
        parts = [(self._openness(name) * s).square().sum() for name, s in self._singular_values.items()]
        parts += [self._tail_openness(name).square() * energy for name, energy in self._tail_energies.items()]
        return _sum(parts) if normaliser == "none" else _sum(parts) / self._total_energy.clamp(min=TINY)

    @torch.no_grad()
    def quantiles(self, *q: float) -> list[float]:
        """Return quantiles of all open fractions, over every direction of every matrix."""
        fractions = list(self.open_fractions().values())
        values = torch.cat([value.to(fractions[0].device) for value in fractions])
        return torch.quantile(values, torch.tensor(q).to(values)).tolist()

    def coefficients(self) -> dict[str, dict[str, Tensor]]:
        """Return what was learned, by matrix: "open" (k,) and where truncated "open_tail", fp32 (CPU)."""
        parts = {"open": self.open_fractions(), "open_tail": self.open_tail_fractions()}
        return {
            name: {
                part: values[name].detach().to("cpu", torch.float32, copy=True)
                for part, values in parts.items()
                if name in values
            }
            for name in self.logits
        }

    def _openness(self, name: str) -> Tensor:
        return self.gates.open_fractions(self.logits[name], len(self._singular_values[name]))

    def _tail_openness(self, name: str) -> Tensor:
        if self.gates.shared:
            return self.gates.value(self.logits[name]).squeeze(0)
        openness = self.gates.value(self.tails[name])
        return openness if self._tail_updates else openness.detach()

    def _run(self, name: str, module: nn.Linear, x: Tensor) -> Tensor:
        """Run the student's forward pass of one layer; x (..., d_in)."""
        flat, factors = x.reshape(-1, x.shape[-1]), partial(self._placement.take, name)
        if self.gates.shared:
            gain = self.strength * self.gates.value(self.logits[name]).squeeze(0)
            whole: Tensor = WholeMatrix.apply(flat, gain, module.weight, module.bias, factors)
            return whole.view(*x.shape[:-1], -1)
        openness, in_weight = self._openness(name), None
        if name in self.tails:
            tail = self._tail_openness(name)
            self._merge_tail(name, tail)
            openness, in_weight = openness - tail, self.strength * tail
        gains = self.strength * openness * self._singular_values[name]
        rebuild = rebuilding_pays(module.out_features, module.in_features, len(flat))
        function, task_vector = RebuiltWeight if rebuild else SideBranch, partial(self._task_vectors, name)
        y: Tensor = function.apply(flat, gains, in_weight, module.weight, module.bias, factors, task_vector)
        return y.view(*x.shape[:-1], -1)

    def _merge_tail(self, name: str, openness: Tensor) -> None:
        """Bring the layer's weight up to date with the tail's gate."""
        # Reading a number back from a GPU waits for it; changes in place are counted on this side.
        version = self.tails[name]._version
        if self._merged_version.get(name) != version:
            self._weights.merge(name, openness.item())
            self._merged_version[name] = version

    def _run_as_teacher(self, name: str, module: nn.Linear, x: Tensor) -> Tensor:
        """Run V's forward pass of a layer whose weight still contains the tail."""
        self._weights.restore(name)
        return self._interceptions.release(name)(x)


def _no_task_vectors(name: str) -> Rows:
    raise ValueError(f"{name}: no task vectors were given")


def _sum(scalars: list[Tensor]) -> Tensor:
    """Return the sum of scalars on any devices, on the first one's."""
    return torch.stack([scalar.to(scalars[0].device) for scalar in scalars]).sum()
