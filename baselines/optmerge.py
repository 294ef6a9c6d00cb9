"""OptMerge: WUDI on denoised task vectors, by descent or in closed form.

OptMerge, arXiv 2505.19892 (ICLR 2026), per matrix, as its code computes it; r = min(d_out, d_in) / 2. The
loss is that of `wudi` with the inputs of each model cut to its r leading directions. `form` "adam": targets
are the mean of both task vectors plus the r leading directions of what each differs from it, from the sum
(its InternVL script, `lr` 1e-5); "sgd": targets are the r leading directions of each, from the mean, with
momentum 0.9 (its Qwen script, `lr` 1e-4); "swudi" and "aswudi": the closed forms of its 2026 release on whole
task vectors, with C = sum_t tau_t^T tau_t / ||tau_t||^2: from the sum, each eigendirection of C goes the
share 1 - exp(-lambda `time`) of the way to the least loss, for the `share` of d_in directions with the
largest eigenvalues (time 1300, share 0.65), or all of the way for as many as (sum sqrt(lambda))^2 / sum
lambda. B + `strength` * the result: 1 there, 0.1 for full fine-tunings of a VLM; 300 `steps`. Deviations:
biases and norms stay V's; a task vector of zero has no term.
"""

from typing import Literal

from baselines._interference import Term, descend, fade, participate, solve
from baselines._spectral import compose, decompose_both, leading
from frism.method import Array, Index, NonNegative, Positive, Share, Site
from frism.spectra.spectrum import decompose

GRANULARITY = "matrix"
GRADIENTS = "weights"
NEEDS = {"spectrum"}
SVDS = 1  # of tau_V - tau_R, for "adam"


def merge(
    site: Site,
    *,
    form: Literal["swudi", "aswudi", "adam", "sgd"] = "swudi",
    strength: float = 1.0,
    time: NonNegative = 1300.0,
    share: Share = 0.65,
    lr: Positive = 1e-5,
    steps: Index = 300,
) -> Array:
    """Merge one matrix, fp32."""
    spectra = decompose_both(site)
    if spectra is None:
        return site.vlm
    taus, rank = (site.tau_v, site.tau_r), min(site.vlm.shape) // 2
    if form in ("swudi", "aswudi"):
        parts = [leading(spectrum, len(spectrum.s)) for spectrum in spectra]
        chosen = fade(time, share) if form == "swudi" else participate
        return site.base + strength * solve(taus[0] + taus[1], parts, chosen)
    mean, cut = (taus[0] + taus[1]) / 2, [leading(spectrum, max(1, rank)) for spectrum in spectra]
    targets, start = [compose(*part) for part in cut], mean
    if form == "adam":
        own = compose(*leading(decompose((taus[0] - taus[1]) / 2), max(1, rank)))
        targets, start = [mean + own, mean - own], 2 * mean
    terms = [
        Term(target, part[1][:, None] * part[2], tau.square().sum())
        for target, part, tau in zip(targets, cut, taus, strict=True)
        if tau.count_nonzero()
    ]
    return site.base + strength * descend(start, terms, form, lr, steps)
