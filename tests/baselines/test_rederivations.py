"""Every formula again, in numpy and float64, entry by entry where that is plainest; written from the papers.

Nothing here is shared with the code under test. Results may differ by the rounding of fp32 alone.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frism.method import discovery as methods
from tests.support.rederivation import LAYERS, close, draw, ours

settings.register_profile("patient", deadline=None, max_examples=50)  # a busy machine is not a failure
settings.load_profile("patient")

seeds = st.integers(0, 2**31)
shapes = st.sampled_from([(1,), (6,), (4, 7), (16, 16), (1, 9)])
weights = st.floats(-2, 2, width=32)
densities = st.floats(0.05, 1.0)


ELEMENTWISE: dict[str, Callable[..., float]] = {
    "vlm": lambda b, v, r: v,
    "interp": lambda b, v, r, vlm_weight: vlm_weight * v + (1 - vlm_weight) * r,
    "inject": lambda b, v, r, strength: v + strength * (r - b),
    "ta_sym": lambda b, v, r, strength: b + strength * ((v - b) + (r - b)),
}


@given(seeds, shapes, weights)
@pytest.mark.parametrize("method", ELEMENTWISE)
def test_arithmetic(method: str, seed: int, shape: tuple[int, ...], weight: float) -> None:
    models = draw(seed, shape)
    params = dict.fromkeys(methods.find(method).parameters, weight)
    flat = [model.ravel().tolist() for model in models]
    expected = [ELEMENTWISE[method](*entry, **params) for entry in zip(*flat, strict=True)]
    close(ours(method, models, **params), np.array(expected).reshape(shape), models, 4)


@given(seeds, shapes, weights, st.one_of(st.none(), st.integers(0, LAYERS - 1)), st.integers(-1, LAYERS))
def test_layers(seed: int, shape: tuple[int, ...], weight: float, layer: int | None, last_kept: int) -> None:
    b, v, r = models = draw(seed, shape)
    swapped = ours("layer_swap", models, layer, last_kept=last_kept, vlm_weight=weight)
    kept = layer is not None and layer <= last_kept
    close(swapped, v if kept else weight * v + (1 - weight) * r, models, 4)
    for third, part in enumerate(("early", "middle", "late")):
        inside = layer is not None and third <= 3 * layer / LAYERS < third + 1
        close(
            ours("layer_range", models, layer, part=part, strength=weight),
            v + weight * (r - b) if inside else v,
            models,
            4,
        )


@given(seeds, shapes, st.lists(weights, min_size=3, max_size=3), st.booleans())
def test_linear(seed: int, shape: tuple[int, ...], triple: list[float], normalize: bool) -> None:
    models, total = draw(seed, shape), sum(triple)
    if normalize and abs(total) < 0.1:
        return
    names = ("base_weight", "vlm_weight", "lrm_weight")
    result = ours("linear", models, normalize=normalize, **dict(zip(names, triple, strict=True)))
    expected = sum(w * model for w, model in zip(triple, models, strict=True)) / (total if normalize else 1)
    close(result, expected, models, 4 / min(1.0, abs(total)) if normalize else 4)


@given(seeds, shapes, st.floats(0, 1), st.sampled_from([0.0, 0.01, 1.0]))
def test_slerp(seed: int, shape: tuple[int, ...], t: float, apart: float) -> None:
    """From the angle that the two arcs of a triangle enclose; nearly parallel tensors from the line."""
    b, v, r = draw(seed, shape)
    r = (v + apart * (r - b)).astype(np.float32).astype(np.float64)
    norms = np.linalg.norm(v), np.linalg.norm(r)
    cosine = float(np.dot(v.ravel() / (norms[0] or 1), r.ravel() / (norms[1] or 1)))
    if abs(abs(cosine) - 0.9995) < 1e-6:
        return
    if abs(cosine) > 0.9995:
        expected = (1 - t) * v + t * r
    else:
        angle = math.acos(cosine)
        expected = (math.sin((1 - t) * angle) * v + math.sin(t * angle) * r) / math.sin(angle)
    close(ours("slerp", [b, v, r], t=t), expected, [v, r], 64)


def largest(tau: list[float], density: float, trimming: str) -> list[float]:
    """Sorted by size and cut, one entry at a time."""
    order = sorted(range(len(tau)), key=lambda i: -abs(tau[i]))  # stable: the first of equals comes first
    exact, size = trimming == "exact", len(tau)
    count = max(1, int(density * size) if exact else round(density * size))
    smallest = abs(tau[order[count - 1]])
    kept = set(order[:count]) if exact else {i for i in order if abs(tau[i]) >= smallest}
    return [entry if i in kept else 0.0 for i, entry in enumerate(tau)]


def elect(tau_v: float, tau_r: float, pair: tuple[float, float], options: dict[str, str]) -> float:
    """The update of one entry before the strength."""
    voters = [np.float32(tau) for tau in (tau_v, tau_r)]  # a vote that fp32 calls a draw is one
    if options["election"] == "weighted":
        voters = [np.float32(w) * tau for w, tau in zip(pair, voters, strict=True)]
    sign = float(np.sign(voters[0] + voters[1])) or (1.0 if options["zero_sum"] == "positive" else 0.0)
    agree = [voter * sign > 0 for voter in voters]
    mass = sum(w * tau for w, tau, yes in zip(pair, (tau_v, tau_r), agree, strict=True) if yes)
    divisor = {
        "count": max(1, sum(agree)),
        "weights": sum(w for w, yes in zip(pair, agree, strict=True) if yes) or 1.0,
        "one": 1.0,
    }[options["divide_by"]]
    return mass / divisor


PARAMETERS = methods.find("ties").parameters
CHOICES = {name: PARAMETERS[name].choices for name in ("election", "zero_sum", "divide_by", "trimming")}
OPTIONS = [dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values())]
positive = st.sampled_from([0.2, 0.5, 1.0, 1.6])


@settings(max_examples=8)
@given(seeds, shapes, densities, positive, positive, st.booleans())
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o.values()))
def test_ties(
    options: dict[str, str],
    seed: int,
    shape: tuple[int, ...],
    density: float,
    v: float,
    r: float,
    equal: bool,
) -> None:
    models = draw(seed, shape, equal)
    base = models[0]
    taus = [(np.float32(m) - np.float32(base)).astype(np.float64).ravel().tolist() for m in models[1:]]
    trimmed = [largest(tau, density, options["trimming"]) for tau in taus]
    update = [elect(one, other, (v, r), options) for one, other in zip(*trimmed, strict=True)]
    result = ours("ties", models, density=density, strength=0.7, vlm_weight=v, lrm_weight=r, **options)
    close(result, base + 0.7 * np.array(update).reshape(shape), models, 4)


@settings(max_examples=25)
@given(seeds, shapes, densities, st.booleans(), st.booleans(), st.sampled_from(["mean", "l1"]))
def test_dare(
    seed: int, shape: tuple[int, ...], density: float, rescale: bool, drop_vlm: bool, restore: str
) -> None:
    """The masks are read off runs in which only one task vector is at work."""
    base, v, r = models = draw(seed, shape)
    masks = []
    for place in (1, 2):
        # A task vector of ones shows what was drawn; a zero one draws all the same.
        probe = [np.zeros(shape)] * 3
        probe[place] = np.ones(shape)
        shown = ours("dare_linear", probe, density=density, drop_vlm=drop_vlm, strength=1.0, rescale=False)
        masks.append(shown != 0)

    def thinned(tau: np.ndarray, mask: np.ndarray) -> np.ndarray:
        if not rescale:
            return tau * mask
        left = np.abs(tau * mask).sum()
        if restore == "l1":
            return tau * mask * (np.abs(tau).sum() / left if left > 1e-6 else 1.0)
        return tau * mask / density

    options = {"density": density, "rescale": rescale, "restore": restore}
    tau_r = thinned(r - base, masks[1])
    anchor = base + 1.3 * thinned(v - base, masks[0]) if drop_vlm else v
    result = ours("dare_linear", models, drop_vlm=drop_vlm, strength=0.6, vlm_weight=1.3, **options)
    scale = 4 / density if restore == "mean" else 4 * base.size
    close(result, anchor + 0.6 * tau_r, models, scale)
    if drop_vlm:
        both = {"election": "plain", "zero_sum": "drop", "divide_by": "count"}
        pairs = zip(thinned(v - base, masks[0]).ravel(), tau_r.ravel(), strict=True)
        update = np.array([elect(one, other, (1.3, 0.6), both) for one, other in pairs])
        result = ours("dare_ties", models, strength=0.9, vlm_weight=1.3, lrm_weight=0.6, **options)
        close(result, base + 0.9 * update.reshape(shape), models, scale)
