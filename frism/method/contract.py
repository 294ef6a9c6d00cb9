"""Check that a method keeps its contract: documented, typed, finite, repeatable, harmless to its inputs.

`check` runs `fit` and `merge` on small random tensors and returns one sentence for every rule that is broken.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from frism.errors import UserError
from frism.method.fitted import Fitted
from frism.method.fitting import DevScores, Fitting
from frism.method.method import Method
from frism.method.parameters import Parameter, Value
from frism.method.site import Array, Site
from frism.seeds import make_generator
from frism.spectra.spectrum import Spectrum, decompose

LAYERS, SITES = 3, 9
SHAPES = {"mlp.up_proj.weight": (12, 8), "mlp.down_proj.weight": (8, 12), "self_attn.q_proj.bias": (7,)}


@dataclass(frozen=True)
class TrialFitting(Fitting):
    """Offer small random tensors to fit on, and a score that depends on the coefficients alone."""

    triple: Any = None
    label: str = "trial"
    spectra: Any = None

    @property
    def layers(self) -> int:
        """How many layers the trial has."""
        return LAYERS

    def sites(self) -> Iterator[Site]:
        """Iterate over matrices and a bias of every layer, a 1 x 1 matrix and a norm outside the layers."""
        names = {f"layers.{layer}.{rest}": s for layer in range(LAYERS) for rest, s in SHAPES.items()}
        for name, shape in {"norm.weight": (5,), "layers.0.self_attn.v_proj.weight": (1, 1), **names}.items():
            generator = make_generator(1, name)
            base = torch.randn(shape, generator=generator)
            roles = {r: base + 0.1 * torch.randn(shape, generator=generator) for r in ("vlm", "lrm")}
            layer = int(name.split(".")[1]) if name.startswith("layers") else None
            yield Site(
                {"base": base, **roles}.__getitem__, name=name, layer=layer, layers=LAYERS,
                spectrum=partial(_decompose_matrix, roles, base),
                rng=partial(make_generator, self.seed, name),
            )  # fmt: skip

    def score(self, fitted: Fitted) -> DevScores:
        """Score coefficients: the closer to 0.4, the better."""
        values = torch.cat(
            [value.double().flatten() for value in fitted.validate("trial").flatten().values()]
        )
        return DevScores(1.0, float((1 - (values - 0.4).abs()).mean().clamp(0, 1)))


def _decompose_matrix(roles: Mapping[str, Tensor], base: Tensor, of: str) -> Spectrum | None:
    taus = [roles[role] - base for role in (("vlm", "lrm") if of == "sum" else (of,))]
    return decompose(sum(taus, torch.zeros(()))) if base.ndim == 2 else None


def check(
    method: Method, fitting: Fitting | None = None, params: Mapping[str, Value] | None = None
) -> list[str]:
    """Return one sentence for every rule that the method breaks.

    Args:
        fitting: what to fit on and to merge; small random tensors unless given. A method that needs more to
            be fitted than it offers is not run.
        params: to run with, the defaults otherwise.
    """
    trial, faults = fitting or TrialFitting(), list(_find_undocumented(method))
    if fitting is None:
        trial = replace(trial, scorer=trial.score)
    if not can_run(method, trial):
        return faults
    if fitting is not None:
        trial = method.equip(trial)
    try:
        fitted = method.run_fit(trial, params or {})
        again = method.run_fit(trial, params or {})
        if not _are_equal(fitted.flatten(), again.flatten()):
            faults.append("fit gives another result when it is run again with the same seed")
        faults += _find_broken_runs(method, method.validate(params or {}), fitted, trial)
    except UserError as error:
        faults.append(str(error).rstrip("."))
    except Exception as error:
        faults.append(f"it fails with {type(error).__name__}: {error}")
    return list(dict.fromkeys(faults))


def can_run(method: Method, fitting: Fitting) -> bool:
    """Tell whether `fitting` meets what the method needs to be fitted."""
    offered = {"calibration": fitting.calibration, "reference": fitting.reference, "dev": fitting.scorer}
    unmet = {need for need, value in offered.items() if value is None}
    no_spectra = fitting.spectra is None and isinstance(fitting, TrialFitting)
    return not (method.needs & unmet or (method.fit and no_spectra and "spectrum" in method.needs))


def _find_undocumented(method: Method) -> Iterator[str]:
    """Find what a method's file does not document."""
    if len(method.label) > 60:
        yield f"its label, the first line up to ':' or '.', has {len(method.label)} characters: at most 60"
    if len(method.doc.splitlines()) < 3:
        yield "its docstring says no more than the label: add where it comes from and every deviation"
    functions = [f for f in ((method.mix or method.merge), method.fit) if f is not None]
    text = "\n".join([method.doc, *(inspect.getdoc(f) or "" for f in functions)])
    for name in method.parameters:
        # In backquotes, or in a list of arguments: "name:" or "name, other:", beginning a line or sentence.
        if not re.search(rf"`{name}`|(?:^|\. )\s*(?:\w+, )*{name}(?:, \w+)*:", text, re.MULTILINE):
            yield f"parameter '{name}' is not documented: explain `{name}` in the docstring"
    for function in functions:
        if inspect.signature(function).return_annotation is inspect.Signature.empty:
            yield f"{function.__name__} has no return type"


def _find_broken_runs(
    method: Method, params: Mapping[str, Value], fitted: Fitted, fitting: Fitting
) -> Iterator[str]:
    """Merge a few tensors in every way that must not change the result; yield the rules that break."""
    if method.mix is not None:
        yield from _find_broken_mixtures(method, params)
        return
    for site in islice(fitting.sites(), SITES):
        arrays = {role: site.array(role) for role in method.reads}
        arrays.setdefault("vlm", site.vlm)
        coefficients = fitted.select(site.name)
        make = partial(_make_site, method, site, coefficients)
        copies = [tensor.clone() for tensor in (*arrays.values(), *coefficients.values())]
        torch.manual_seed(0)
        first = method.run_merge(make(arrays), params).clone()
        torch.manual_seed(1)
        if not torch.equal(first, method.run_merge(make(arrays), params)):
            yield "merge gives another result when it is run again: draw from site.rng alone"
        if not all(map(torch.equal, copies, (*arrays.values(), *coefficients.values()))):
            yield "merge changes its inputs: compute new tensors"
        if method.identity is not None:
            at_identity = method.run_merge(make(arrays), {**params, **method.identity})
            if not torch.equal(at_identity, arrays["vlm"]):
                yield f"merge at IDENTITY {dict(method.identity)} is not V"
        if method.is_elementwise(params) and "seed" not in method.needs:
            flat = {role: tensor.flatten() for role, tensor in arrays.items()}
            half = len(flat["vlm"]) // 2
            halves = [{r: t[part] for r, t in flat.items()} for part in (slice(half), slice(half, None))]
            cut = [make(piece, start=start) for piece, start in zip(halves, (0, half), strict=True)]
            measured = method.run_measure(partial(iter, cut), params)
            for site in cut:
                site.measured = measured
            merged = torch.cat([method.run_merge(site, params, finite=False) for site in cut])
            if not torch.equal(merged, first.flatten()):
                yield "merge in flat pieces differs from merge of the whole: drop ELEMENTWISE"
        if method.arithmetic:
            numpy: dict[str, Any] = {role: tensor.numpy() for role, tensor in arrays.items()}
            numpy_coefficients = {key: value.numpy() for key, value in coefficients.items()}
            result: Any = method.run_merge(_make_site(method, site, numpy_coefficients, numpy), params)
            if result.tobytes() != first.numpy().tobytes():
                yield "merge of numpy arrays has other bits than that of torch tensors: drop ARITHMETIC"
        for parameter in method.merging.parameters.values():
            yield from _try_limits(method, params, parameter, partial(make, arrays))


def _find_broken_mixtures(method: Method, params: Mapping[str, Value]) -> Iterator[str]:
    """Mix a few distributions of which R's leaves tokens out; yield the rules that break."""
    generator = make_generator(1, method.name)
    vlm, lrm = (torch.randn(4, 9, generator=generator) for _ in range(2))
    lrm[:, -2:] = -torch.inf
    vlm, lrm = vlm.log_softmax(-1), lrm.log_softmax(-1)
    copies = vlm.clone(), lrm.clone()
    settings = [params] + [
        {**params, parameter.name: value}
        for parameter in method.parameters.values()
        for value in (*parameter.choices, *parameter.ends)
    ]
    for one in settings:
        mixed = method.run_mix(vlm, lrm, one)
        if (
            mixed.shape != vlm.shape
            or mixed.isnan().any()
            or not (mixed.exp().sum(-1) - 1).abs().max() < 1e-5
        ):
            yield f"mix with {dict(one)} does not return log-probabilities of V's shape"
    if not (torch.equal(vlm, copies[0]) and torch.equal(lrm, copies[1])):
        yield "mix changes its inputs: compute new tensors"
    identity = {**params, **(method.identity or {})}
    if method.identity is not None and not torch.equal(method.run_mix(vlm, lrm, identity), vlm):
        yield f"mix at IDENTITY {dict(method.identity)} is not V"


def _try_limits(
    method: Method,
    params: Mapping[str, Value],
    parameter: Parameter,
    make: Callable[[], Site],
) -> Iterator[str]:
    """Merge with every choice, and with the ends of a range that belong to it; yield what fails."""
    for value in parameter.choices or ((True, False) if parameter.plain is bool else parameter.ends):
        try:
            complete = method.validate({**params, parameter.name: value})
        except UserError:
            continue  # it does not go with the other parameters
        try:
            method.run_merge(make(), complete)
        except UserError as error:
            yield f"at {parameter.name} = {value}, which its range allows: {str(error).rstrip('.')}"


def _make_site(
    method: Method, trial: Site, fitted: Mapping[str, Any], arrays: Mapping[str, Array], start: int = 0
) -> Site:
    return method.make_site(
        arrays.__getitem__, spectrum=trial.decompose, rng=lambda: make_generator(0, trial.name),
        name=trial.name, layer=trial.layer, layers=trial.layers, fitted=fitted, start=start,
    )  # fmt: skip


def _are_equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
