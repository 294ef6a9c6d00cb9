"""Run a merging method: one file with `merge`, perhaps `fit`, and every fact about it.

The file's name is the method's name, the first line of its docstring (up to ":" or ".") its label.

    merge(site, *, ...) -> Array     one tensor; see `frism.method.site.Site`
    fit(fitting, *, ...) -> Fitted   optional, once per combination of parameters; see `frism.method.fitting`
    measure(pieces, *, ...) -> Any   optional: a few numbers of a whole tensor, read piece by piece, given
                                     which `merge` is ELEMENTWISE; they arrive as `site.measured`
    mix(vlm, lrm, *, ...) -> Tensor  in place of `merge`: the next token's log-probabilities from V's and R's,
                                     (rows, vocabulary) each; nothing is merged, both models answer together
    mergekit(names, *, ...) -> dict  optional: the merge as a mergekit configuration (`frism.method.mergekit`)

Every keyword is a parameter (`frism.method.parameters`). Optional constants:

    NEEDS                what it works with beside the three models, of the names in NEEDS below
    READS                which of "base", "vlm" and "lrm" `merge` reads (default: all three)
    SCOPE                the tensors it merges unless a study says otherwise (default: "mat")
    ELEMENTWISE          True if `merge` treats every entry on its own: large tensors come as flat pieces. A
                         dict of parameter values says when: {"restore": "mean"}
    ARITHMETIC           True if besides it uses nothing but Python's operators: numpy arrays do as well
    SVDS                 decompositions of every matrix that `merge` computes, beside kept spectra
    DIRECTIONS           "singular" (default) or "random": what the gates sit on
    GRANULARITY          what gets a number of its own: "model", "layer", "matrix", "tensor", "direction" or
                         "entry"; shown in tables
    GRADIENTS            "model" if fitting differentiates a running model, "weights" if merging descends on
                         weights alone (default: neither)
    FAMILY               the method that this one is a variation of: a table compares the two
    IGNORES              parameters of a shared group that have no effect here
    IDENTITY             parameter values at which the merge is V exactly: {"strength": 0.0}
    SWEPT                True to draw its whole sweep beside FRISM's point (figure "sweep")
    MERGEKIT_DIFFERENCE  a sentence: in what mergekit's result differs
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from frism.errors import UserError
from frism.method import parameters as schema
from frism.method.fitted import Fitted
from frism.method.fitting import Fitting
from frism.method.parameters import Parameter, Signature, Value
from frism.method.site import Array, Pieces, Site

if TYPE_CHECKING:
    import torch

    from frism.method.mergekit import Config
    from frism.spectra.spectra import TaskVector
    from frism.spectra.spectrum import Spectrum

# What a method may need, and how a message names it.
NEEDS = {
    "spectrum": "the singular directions of tau_R",
    "seed": "a seed",
    "calibration": "calibration questions",
    "reference": "what another variant learned",
    "dev": "scores on dev questions",
}
WEIGHTS = {"spectrum", "seed"}  # what the three checkpoints alone can meet


@dataclass(frozen=True)
class Method:
    """Hold one merging method and all that its file states."""

    name: str
    label: str
    doc: str
    module: str
    file: str
    scope: str
    needs: frozenset[str]
    reads: tuple[str, ...]
    parameters: dict[str, Parameter]
    merge: Callable[..., Array]
    merging: Signature
    fit: Callable[..., Fitted] | None
    fitting: Signature | None
    measure: Callable[..., Any] | None
    measuring: Signature | None
    mix: "Callable[..., torch.Tensor] | None"
    mixing: Signature | None
    mergekit: "Callable[..., Config] | None"
    mergekit_difference: str
    pieces: bool | Mapping[str, Value]  # ELEMENTWISE
    arithmetic: bool
    svds: int
    directions: str
    granularity: str
    gradients: str
    family: str
    ignores: frozenset[str]
    identity: Mapping[str, Value] | None
    swept: bool

    def is_elementwise(self, params: Mapping[str, Value]) -> bool:
        """Tell whether `merge`, with these complete parameters, treats every entry on its own."""
        if isinstance(self.pieces, bool):
            return self.pieces
        return all(params[name] == value for name, value in self.pieces.items())

    @property
    def stochastic(self) -> bool:
        """Whether the result depends on the seed."""
        return bool(self.needs & {"seed", "calibration", "dev"})

    @property
    def runs_a_model(self) -> bool:
        """Whether fitting runs a model, so that its precision and device matter."""
        return bool(self.needs & {"calibration", "dev"})

    @property
    def missing_needs(self) -> list[str]:
        """What fitting needs beyond the three checkpoints, as a message names it."""
        return [NEEDS[need] for need in NEEDS if need in self.needs - WEIGHTS]

    def validate(self, params: Mapping[str, object]) -> dict[str, Value]:
        """Return all parameters, checked, with defaults filled in and in the order of the signature.

        Raises UserError for an unknown name, a value of the wrong type or range, or values that do not go
        together.
        """
        where = f"method {self.name}"
        complete = schema.validate(params, self.parameters, where)
        for signature in filter(None, (self.merging, self.fitting, self.measuring, self.mixing)):
            try:
                signature.build_arguments(complete)
            except ValueError as error:
                raise UserError(f"{where}: {error}") from None
        return complete

    def equip(self, fitting: Fitting) -> Fitting:
        """Add a label, and spectra for a method that needs them and was given none."""
        fitting = replace(fitting, label=fitting.label or self.name)
        if fitting.spectra is not None or "spectrum" not in self.needs:
            return fitting
        from frism.spectra.spectra import Spectra

        return replace(fitting, spectra=Spectra(fitting.triple))

    def run_fit(self, fitting: Fitting, params: Mapping[str, object]) -> Fitted:
        """Run `fit` with checked parameters; return finite CPU tensors. A method without one fits nothing.

        Raises UserError for a need that `fitting` does not meet.
        """
        complete = self.validate(params)
        if self.fit is None or self.fitting is None:
            return Fitted()
        fitting = self.equip(fitting)
        inputs = {"calibration": fitting.calibration, "reference": fitting.reference, "dev": fitting.scorer}
        for need, value in inputs.items():
            if need in self.needs and value is None:
                hint = " Name a variant in `reference:`." if need == "reference" else ""
                raise UserError(
                    f"method {self.name} needs {NEEDS[need]} to be fitted, and none were given.{hint}"
                )
        fitted = self.fit(fitting, **self.fitting.build_arguments(complete))
        if not isinstance(fitted, Fitted):
            raise UserError(f"method {self.name}: fit returned {type(fitted).__name__}: return a Fitted.")
        return fitted.validate(self.name)

    def fit_from_weights(self, fitting: Fitting, params: Mapping[str, object]) -> Fitted:
        """Run `fit` on the three checkpoints alone. Raises UserError for a method that needs more."""
        if self.missing_needs:
            raise UserError(
                f"method {self.name} must be fitted with {' and '.join(self.missing_needs)} before it can"
                " merge: fit it in a study, then `frism export` its folder, or pass what `Recipe.load` reads"
                " there to `merge`."
            )
        return self.run_fit(fitting, params)

    def run_measure(self, pieces: Pieces, params: Mapping[str, Value]) -> Any:
        """Run `measure` over the pieces of one tensor; None for a method without it."""
        if self.measure is None or self.measuring is None:
            return None
        return self.measure(pieces, **self.measuring.build_arguments(params))

    def run_merge(self, site: Site, params: Mapping[str, Value], *, finite: bool = True) -> Array:
        """Merge one tensor or piece; `params` is complete.

        Raises UserError when the result is not an fp32 array of V's shape, or, with `finite`, when a value of
        it is not finite.
        """
        if self.measure is not None and site.measured is None:  # the site is the whole tensor
            site.measured = self.run_measure(lambda: iter([site]), params)
        try:
            merged = self.merge(site, **self.merging.build_arguments(params))
        except KeyError as error:
            if self.fit is None:
                raise
            raise UserError(
                f"method {self.name} has no fitted {error} for {site.name}: fit it first (`fit`), or choose"
                " the scope that it was fitted for."
            ) from error
        expected = site.vlm
        shape, dtype = getattr(merged, "shape", None), getattr(merged, "dtype", None)
        if type(merged) is not type(expected) or shape != expected.shape or dtype != expected.dtype:
            result = type(merged).__name__ if shape is None else f"{list(shape)} {dtype}"
            raise UserError(
                f"method {self.name} returned {result} for {site.name}, not {list(expected.shape)} "
                f"{expected.dtype}: return an fp32 array of V's shape."
            )
        if finite and 0 not in expected.shape and not math.isfinite(float(abs(merged).max())):
            raise self.explain_not_finite(site.name)
        return merged

    def run_mix(
        self, vlm: "torch.Tensor", lrm: "torch.Tensor", params: Mapping[str, Value]
    ) -> "torch.Tensor":
        """Mix log-probabilities, (rows, vocabulary) each; `params` is complete."""
        assert self.mix is not None and self.mixing is not None
        return self.mix(vlm, lrm, **self.mixing.build_arguments(params))

    def refuse_unless_merging(self) -> None:
        """Raise UserError for a method that mixes predictions: there is no merged model."""
        if self.mix is not None:
            raise UserError(
                f"method {self.name} merges nothing: V and R answer together, which only a study with engine"
                " transformers does."
            )

    def make_site(
        self,
        read: Callable[[str], Array],
        *,
        spectrum: "Callable[[TaskVector], Spectrum | None]",
        rng: "Callable[[], torch.Generator]",
        **position: Any,
    ) -> Site:
        """Make a site that refuses, naming the method, what READS and NEEDS leave out; V is always read."""

        def read_allowed(role: str) -> Array:
            if role not in self.reads and role != "vlm":
                raise UserError(f"method {self.name} reads site.{role}: add '{role}' to its READS.")
            return read(role)

        def guard(need: str, attribute: str, give: Callable[..., Any]) -> Callable[..., Any]:
            def refuse(*_: Any) -> Any:
                raise UserError(f"method {self.name} reads site.{attribute}: add '{need}' to its NEEDS.")

            return give if need in self.needs else refuse

        return Site(
            read_allowed, spectrum=guard("spectrum", "spectrum", spectrum), rng=guard("seed", "rng", rng),
            **position,
        )  # fmt: skip

    def explain_not_finite(self, name: str) -> UserError:
        """Return the error for finite tensors that were merged into one that is not."""
        return UserError(
            f"method {self.name} returned NaN or infinite values for {name}: check its parameters."
        )

    def mergekit_config(self, names: Mapping[str, str], params: Mapping[str, Value]) -> "Config | None":
        """Write the merge as a mergekit configuration; None where mergekit has no such method."""
        if self.mergekit is None:
            return None
        arguments: dict[str, Any] = {**params}
        return self.mergekit(names, **arguments)
