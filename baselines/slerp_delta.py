"""SLERP of the task vectors: B + the point at `t` of the arc from tau_V to tau_R.

Shoemake 1985, Animating rotation with quaternion curves, on flattened task vectors, as mergekit's `nuslerp`
with a base model: with the angle a between them, B + (sin((1 - t) a) tau_V + sin(t a) tau_R) / sin(a). Unlike
whole weights (`slerp`) task vectors of different training are nearly orthogonal, so this is far from a line:
at `t` 0.5 both enter by 0.71. Where |cos a| exceeds `straight` they are interpolated linearly. Deviation:
none known; the sum is taken from V, so that `t` 0 is V to the bit.
"""

from typing import Any

from baselines._arc import measure_cosine, weigh
from frism.method import Array, Fraction, Pieces, Site
from frism.method.mergekit import Config, Names

GRANULARITY = "tensor"
IDENTITY = {"t": 0.0}
ELEMENTWISE = True  # given the angle
MERGEKIT_DIFFERENCE = "slerp_delta: the same formula; mergekit is linear only where sin a is below 1e-8."


def measure(pieces: Pieces) -> float:
    """Return the cosine of the angle between tau_V and tau_R."""
    return measure_cosine((piece.tau_v, piece.tau_r) for piece in pieces())


def merge(site: Site, *, t: Fraction = 0.2, straight: Fraction = 0.9995) -> Array:
    """Merge one tensor, fp32. `t` 0 is V, 1 is R."""
    first, second = weigh(site.measured, t, straight)
    return site.vlm + (first - 1) * site.tau_v + second * site.tau_r


def mergekit(names: Names, *, t: float, **_: Any) -> Config:
    """Write the merge as mergekit's nuslerp."""
    models = [
        {"model": names[role], "parameters": {"weight": weight}}
        for role, weight in (("vlm", 1 - t), ("lrm", t))
    ]
    return {"merge_method": "nuslerp", "base_model": names["base"], "models": models,
            "parameters": {"nuslerp_flatten": True}}  # fmt: skip
