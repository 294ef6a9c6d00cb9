"""Merging methods found by file name; a method's signature is the schema of its parameters.

A method is one module in `frism/methods/` or `baselines/` with a function `merge(base, vlm, lrm, *, ...)
-> Tensor` (any of the three, by name; one tensor at a time, fp32 in and out), and optionally `fit(triple,
calibration, *, ...) -> dict[str, Tensor]` and constants. Keyword-only arguments are parameters (int, float,
str, bool or a Literal of strings, with a default; or a dataclass of such fields, for parameters that several
methods share), except the reserved names below, which the caller supplies. Modules whose name starts with
"_" are no methods.

Constants: SCOPE; ELEMENTWISE, true if `merge` treats every entry on its own, so that large tensors are merged
in pieces, flat runs of entries (a dict of parameter values says when: {"restore": "mean"}); ARITHMETIC, true
if besides it uses nothing but Python's operators on its tensors, so that numpy arrays do as well as torch's.

Reserved in `merge`: `fitted` (what `fit` returned under "<tensor name>" as "value", and under "<tensor
name>/part" as "part"), `layer` (int, or None outside the layers), `layers` (their number), `name` (canonical
tensor name), `generator` (a CPU torch.Generator seeded by the variant's seed, the tensor's name and the
piece), `spectrum` (the singular directions of tau_R, a `frism.spectra.spectrum.Spectrum`). Reserved in
`fit`: `triple`, `calibration`, `reference` and `reference_params` (what another variant fitted, and its
parameters), `spectra` (a `frism.spectra.spectra.Spectra`: the spectrum of every matrix), `compute` (device
and precision, a `frism.compute.Compute`), `workspace` (a folder for what a long fit keeps between kills, or
None), `seed`, `progress` (a label).
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from frism.compute import Compute
from frism.errors import UserError, nearest
from frism.method.parameters import Parameter, Signature, Value, read_signature
from frism.seeds import seeded
from frism.triples.triple import DEFAULT_SCOPE, ROLES, SCOPES, Triple

if TYPE_CHECKING:  # seconds to import; a merge by plain arithmetic does without
    from torch import Tensor

    from frism.spectra.spectrum import Spectrum

PACKAGES = ["frism.methods", "baselines"]
RESERVED_MERGE = ("fitted", "layer", "layers", "name", "generator", "spectrum")
RESERVED_FIT = (
    "triple", "calibration", "reference", "reference_params", "spectra", "compute", "workspace", "seed",
    "progress",
)  # fmt: skip
OPTIONAL_FIT = ("workspace",)  # what may be None


NOTHING = Signature((), {}, frozenset(), {})  # of a function that a module does not have


@dataclass(frozen=True)
class Method:
    """One merging method and all that its module says of itself."""

    name: str
    label: str
    doc: str
    module: str
    scope: str
    parameters: dict[str, Parameter]
    merge: Callable[..., Tensor]
    merging: Signature
    fit: Callable[..., dict[str, Tensor]] | None
    fitting: Signature
    pieces: bool | Mapping[str, Value]  # ELEMENTWISE
    arithmetic: bool

    @property
    def sources(self) -> tuple[str, ...]:
        """What merge reads, of "base", "vlm" and "lrm"."""
        return self.merging.positional

    @property
    def merge_names(self) -> frozenset[str]:
        """The keyword arguments of merge."""
        return self.merging.names

    @property
    def fit_names(self) -> frozenset[str]:
        """All arguments of fit."""
        return self.fitting.names | set(self.fitting.positional)

    def elementwise(self, params: Mapping[str, Value]) -> bool:
        """Whether `merge`, with these complete parameters, treats every entry on its own."""
        if isinstance(self.pieces, bool):
            return self.pieces
        return all(params[name] == value for name, value in self.pieces.items())

    @property
    def needs_calibration(self) -> bool:
        """Whether fitting asks for unlabelled images and questions."""
        return "calibration" in self.fit_names

    @property
    def needs_reference(self) -> bool:
        """Whether fitting starts from what another variant fitted."""
        return bool(self.fit_names & {"reference", "reference_params"})

    @property
    def needs_spectrum(self) -> bool:
        """Whether fitting or merging works on the singular directions of tau_R."""
        return "spectrum" in self.merge_names or "spectra" in self.fit_names

    @property
    def stochastic(self) -> bool:
        """Whether the result depends on the seed."""
        return "generator" in self.merge_names or "seed" in self.fit_names

    def validate(self, params: Mapping[str, object]) -> dict[str, Value]:
        """Return all parameters, checked, with defaults filled in and in the order of the signature.

        Raises UserError for an unknown name, a value of the wrong type or one that is not among the choices.
        """
        accepted = ", ".join(self.parameters) or "none"
        for name in params:
            if name not in self.parameters:
                raise UserError(
                    f"method {self.name} has no parameter '{name}' (it accepts: {accepted})."
                    f"{nearest(name, self.parameters)}"
                )
        return {
            name: parameter.check(params[name], self.name) if name in params else parameter.default
            for name, parameter in self.parameters.items()
        }

    def run_fit(self, triple: Triple, params: Mapping[str, object], **supplied: object) -> dict[str, Tensor]:
        """Run `fit` with checked parameters and the reserved names it asks for; return finite CPU tensors.

        `supplied` holds calibration, reference, reference_params, spectra, compute, workspace, seed and
        progress, as far as the caller has them. A method without `fit` gives {}.
        """
        complete = self.validate(params)
        if self.fit is None:
            return {}
        offered: dict[str, object] = {
            "seed": 0, "progress": self.name, "compute": Compute(), "workspace": None, **supplied,
            "triple": triple,
        }  # fmt: skip
        if offered.get("spectra") is None and "spectra" in self.fit_names:
            from frism.spectra.spectra import Spectra

            offered["spectra"] = Spectra(triple)
        for name in sorted(self.fit_names & set(RESERVED_FIT) - set(OPTIONAL_FIT)):
            if offered.get(name) is None:
                hint = " Name a variant in `reference:`." if name.startswith("reference") else ""
                raise UserError(f"method {self.name} needs '{name}' to be fitted, and none was given.{hint}")
        fitted = self.fit(
            *(offered[name] for name in self.fitting.positional), **self.fitting.keywords(offered, complete)
        )
        import torch

        for key, tensor in fitted.items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise UserError(
                    f"method {self.name} fitted NaN or infinite values for {key}: lower its learning rate."
                )
        return {key: tensor.detach().cpu().contiguous() for key, tensor in fitted.items()}

    def run_merge(
        self,
        tensors: Mapping[str, Any],
        params: Mapping[str, Value],
        *,
        name: str,
        layer: int | None,
        layers: int,
        seed: int,
        fitted: dict[str, Tensor],
        spectrum: Spectrum | None = None,
        start: int = 0,
        finite: bool = True,
    ) -> Any:
        """Merge one tensor or piece; `tensors` holds this method's sources (fp32), `params` is complete.

        `start` is the place of the piece's first entry, part of the seed of what is drawn for it. Raises
        UserError when the result is not an fp32 tensor of the same shape, or, with `finite`, when a
        value of it is not finite.
        """
        supplied: dict[str, object] = {
            "fitted": fitted,
            "layer": layer,
            "layers": layers,
            "name": name,
            "spectrum": spectrum,
        }
        if "generator" in self.merge_names:
            supplied["generator"] = seeded(seed, name if start == 0 else f"{name}@{start}")
        try:
            merged = self.merge(
                *(tensors[s] for s in self.sources), **self.merging.keywords(supplied, params)
            )
        except KeyError as error:
            if "fitted" not in self.merge_names:
                raise
            raise UserError(
                f"method {self.name} fitted no {error} for {name}: choose a smaller scope."
            ) from error
        expected = tensors[self.sources[0]]
        shape, dtype = getattr(merged, "shape", None), getattr(merged, "dtype", None)
        if type(merged) is not type(expected) or shape != expected.shape or dtype != expected.dtype:
            got = type(merged).__name__ if shape is None else f"{list(shape)} {dtype}"
            raise UserError(
                f"method {self.name} gave {got} for {name}, not {list(expected.shape)} {expected.dtype}."
            )
        if finite and math.prod(shape) and not math.isfinite(float(abs(merged).max())):
            raise self.not_finite(name)
        return merged

    def not_finite(self, name: str) -> UserError:
        """What to say when finite tensors were merged into one that is not."""
        return UserError(f"method {self.name} gave NaN or infinite values for {name}: check its parameters.")


def modules() -> dict[str, str]:
    """Map every method's name to its module, without importing any method."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        for entry in pkgutil.iter_modules(importlib.import_module(package).__path__):
            if entry.name.startswith("_") or entry.ispkg:
                continue
            if entry.name in found:
                raise UserError(
                    f"two methods are named '{entry.name}' ({found[entry.name]} and {package}): rename one."
                )
            found[entry.name] = f"{package}.{entry.name}"
    return found


def available() -> list[str]:
    """Names of all methods, sorted."""
    return sorted(modules())


def find(name: str) -> Method:
    """Import a method by name. Raises UserError when there is none or it breaks the interface."""
    known = modules()
    if name not in known:
        raise UserError(
            f"unknown method '{name}' (available: {', '.join(sorted(known))}).{nearest(name, known)}"
        )
    try:
        module = importlib.import_module(known[name])
    except Exception as error:
        raise UserError(
            f"method {name} ({known[name]}) fails to import: {type(error).__name__}: {error}."
        ) from error
    return describe(module)


def describe(module: ModuleType) -> Method:
    """Read a module as a method. Raises UserError, naming the file, when it breaks the interface."""
    name, where = module.__name__.rpartition(".")[2], module.__file__ or module.__name__
    merge, fit = getattr(module, "merge", None), getattr(module, "fit", None)
    if not callable(merge):
        raise UserError(
            f"{where} has no function merge(base, vlm, lrm, *, ...): write one or prefix the file with '_'."
        )
    doc = inspect.cleandoc(module.__doc__ or "")
    label = doc.partition("\n")[0].partition(":")[0].partition(". ")[0].strip().rstrip(".")
    if not label:
        raise UserError(f"{where} has no docstring: its first line, up to ':' or '.', is the method's label.")
    scope = getattr(module, "SCOPE", DEFAULT_SCOPE)
    if scope not in SCOPES:
        raise UserError(f"{where}: SCOPE is '{scope}': choose one of {', '.join(SCOPES)}.")
    merging = read_signature(merge, where, ROLES, RESERVED_MERGE)
    if not merging.positional:
        raise UserError(f"{where}: merge takes none of base, vlm, lrm: name the tensors that it reads.")
    parameters, fitting = dict(merging.parameters), NOTHING
    if fit is not None:
        fitting = read_signature(fit, where, RESERVED_FIT, RESERVED_FIT)
        for parameter in fitting.parameters.values():
            if parameters.setdefault(parameter.name, parameter) != parameter:
                raise UserError(
                    f"{where}: parameter '{parameter.name}' differs between merge and fit: make them equal."
                )
    groups = dict.fromkeys([*merging.groups.values(), *fitting.groups.values()])
    doc = "\n\n".join([doc, *(inspect.cleandoc(group.__doc__ or "") for group in groups)])
    return Method(
        name, label, doc, module.__name__, scope, parameters, merge, merging, fit, fitting,
        *_pieces(module, where, parameters),
    )  # fmt: skip


def _pieces(
    module: ModuleType, where: str, parameters: Mapping[str, Parameter]
) -> tuple[bool | Mapping[str, Value], bool]:
    """What a module says of merging in pieces: ELEMENTWISE and ARITHMETIC."""
    pieces, arithmetic = getattr(module, "ELEMENTWISE", False), getattr(module, "ARITHMETIC", False)
    if not isinstance(pieces, bool):
        for name, value in pieces.items():
            if name not in parameters:
                raise UserError(f"{where}: ELEMENTWISE names '{name}', which is no parameter.")
            parameters[name].check(value, module.__name__.rpartition(".")[2])
    return pieces or arithmetic, arithmetic
