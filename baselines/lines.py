"""LiNeS on injection: V + lambda_l * tau_R, lambda_l rising evenly with the depth of the layer l.

Layer-increasing Network Scaling, arXiv 2410.17146: lambda_l = `first` + `rise` * l / (L - 1) on any merged
task vector, here that of `inject`; tensors outside the layers get `first`. Few general features change in
early layers, many of the task in late ones: the one-parameter competitor of per-layer coefficients.
Deviation: the paper derives `first` for several tasks from a ratio of norms; here both are chosen on dev.
`rise` 0 is `inject`.
"""

from frism.method import Array, Site

GRANULARITY = "layer"
ARITHMETIC = True
IDENTITY = {"first": 0.0, "rise": 0.0}


def merge(site: Site, *, first: float = 0.0, rise: float = 0.3) -> Array:
    """Merge one tensor, fp32. `first` 0 and `rise` 0 are V."""
    depth = 0.0 if site.layer is None else site.layer / max(1, site.layers - 1)
    return site.vlm + (first + rise * depth) * site.tau_r
