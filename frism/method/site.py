"""Give `merge` one tensor of the language tower: everything that a method may read of it, on first access."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from frism.seeds import make_generator

if TYPE_CHECKING:  # seconds to import; a merge by plain arithmetic does without
    import torch
    from torch import Tensor

    from frism.spectra.spectra import TaskVector
    from frism.spectra.spectrum import Spectrum

    Array = Tensor
else:
    Array = Any


class Site:
    """Read one tensor of all three models in fp32: all of it, or a flat piece for an ELEMENTWISE method.

    The arrays are torch tensors on any device; for an ARITHMETIC method they may be numpy arrays, which know
    the same operators. Each array is read at its first access.

    Attributes:
        name: canonical, such as "layers.0.self_attn.q_proj.weight".
        layer: the decoder layer, None outside the layers. layers: how many there are.
        fitted: what `fit` returned, by key: this tensor's own entries over those of the whole model.
        start: position of a piece's first entry in the flattened tensor.
        measured: what `measure` returned for the whole tensor, for a method that has it.
    """

    def __init__(
        self,
        read: Callable[[str], Array],
        *,
        spectrum: "Callable[[TaskVector], Spectrum | None]",
        rng: "Callable[[], torch.Generator]",
        name: str = "tensor",
        layer: int | None = 0,
        layers: int = 1,
        fitted: Mapping[str, Array] | None = None,
        start: int = 0,
        measured: Any = None,
    ) -> None:
        self.name, self.layer, self.layers = name, layer, layers
        self.fitted: Mapping[str, Array] = fitted or {}
        self.start, self.measured = start, measured
        self.arrays: dict[str, Array] = {}  # what was read so far, by role
        self._read, self._spectrum, self._rng = read, spectrum, rng
        self._spectra: dict[str, Spectrum | None] = {}

    @classmethod
    def of(
        cls,
        base: "Array | None" = None,
        vlm: "Array | None" = None,
        lrm: "Array | None" = None,
        *,
        spectrum: "Spectrum | None" = None,
        rng: "torch.Generator | None" = None,
        name: str = "tensor",
        **position: Any,
    ) -> Self:
        """Make a site of given arrays, for tests and notebooks; `position` holds
        layer, layers, fitted, start and measured. Spectra are computed where `spectrum` gives none."""
        by_role = {"base": base, "vlm": vlm, "lrm": lrm}
        arrays = {role: array for role, array in by_role.items() if array is not None}
        return cls(
            arrays.__getitem__,
            spectrum=lambda of: (spectrum if of == "lrm" else None) or _decompose(arrays, of),
            rng=lambda: rng or make_generator(0, name),
            name=name,
            **position,
        )

    def array(self, role: str) -> Array:
        """Return the tensor in "base", "vlm" or "lrm"."""
        if role not in self.arrays:
            self.arrays[role] = self._read(role)
        return self.arrays[role]

    @property
    def base(self) -> Array:
        """B's tensor."""
        return self.array("base")

    @property
    def vlm(self) -> Array:
        """V's tensor."""
        return self.array("vlm")

    @property
    def lrm(self) -> Array:
        """R's tensor."""
        return self.array("lrm")

    @property
    def tau_v(self) -> Array:
        """V - B, computed anew on every access: a large tensor's difference is not kept."""
        return self.vlm - self.base

    @property
    def tau_r(self) -> Array:
        """R - B, computed anew on every access."""
        return self.lrm - self.base

    def decompose(self, of: "TaskVector") -> "Spectrum | None":
        """Return the singular directions of tau_R ("lrm"), tau_V ("vlm") or their "sum", read once."""
        if of not in self._spectra:
            self._spectra[of] = self._spectrum(of)
        return self._spectra[of]

    @property
    def spectrum(self) -> "Spectrum | None":
        """The singular directions of tau_R; None for biases and norms. Needs "spectrum" in NEEDS."""
        return self.decompose("lrm")

    @property
    def spectrum_v(self) -> "Spectrum | None":
        """The singular directions of tau_V, kept where a study keeps tau_R's. Needs "spectrum" in NEEDS."""
        return self.decompose("vlm")

    @property
    def spectrum_sum(self) -> "Spectrum | None":
        """The singular directions of tau_V + tau_R, likewise."""
        return self.decompose("sum")

    @cached_property
    def rng(self) -> "torch.Generator":
        """A CPU generator, seeded by the variant's seed, the tensor's name and the piece's first entry.

        Needs "seed" in NEEDS.
        """
        return self._rng()


def _decompose(arrays: Mapping[str, Any], of: "TaskVector") -> "Spectrum | None":
    """Decompose a task vector of tensors at hand; None for biases and norms."""
    from frism.spectra.spectrum import decompose

    if arrays["base"].ndim != 2:
        return None
    return decompose(sum(arrays[r] - arrays["base"] for r in (("vlm", "lrm") if of == "sum" else (of,))))


Pieces = Callable[[], Iterator[Site]]  # the pieces of one tensor in order, as often as it is called
