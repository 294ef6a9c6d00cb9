"""IP-Merging, invariant: tau_R projected onto V's agreeing directions.

After Hu et al., arXiv 2510.14387, without what made the released code depend on chance (see ip_released),
per matrix. Exact SVDs of tau_V and tau_R, cut to `rank` directions. A right singular vector of tau_V agrees
where the largest |cosine| with any of tau_R's reaches `threshold`; P is the orthogonal projector onto those
that agree, and `strength` * s * tau_R P is added, with s = sum(S_V) / sum(S_R) as in the original; where
none agrees the matrix stays V's. Neither signs nor order of singular vectors matter. Deviations from the
paper's code: |cosine| over all pairs, exact SVD, a true projector. Directions are those of the study's
spectra: where these are truncated, the tails are left out. Biases and norms stay V's; a tau_R of zero adds
nothing.
"""

from frism.method import Array, Count, Site

GRANULARITY = "direction"
NEEDS = {"spectrum"}
IDENTITY = {"strength": 0.0}
SWEPT = True


def merge(site: Site, *, threshold: float = 0.4, strength: float = 0.5, rank: Count = 1024) -> Array:
    """Merge one tensor, fp32. The defaults are the released code's, where they mean the same."""
    spectrum, spectrum_v = site.spectrum, site.spectrum_v
    if spectrum is None or spectrum_v is None or spectrum.s.sum() == 0:
        return site.vlm
    s_v, vh_v = spectrum_v.s[:rank], spectrum_v.vh[:rank].to(spectrum_v.s.dtype)
    u_r, s_r, vh_r = spectrum.u[:, :rank].to(s_v.dtype), spectrum.s[:rank], spectrum.vh[:rank].to(s_v.dtype)
    agreement = (vh_v @ vh_r.mT).abs().amax(dim=1)
    agreeing = vh_v[agreement >= threshold]
    scale = s_v.sum() / s_r.sum()
    return site.vlm + strength * scale * ((u_r * s_r) @ (vh_r @ agreeing.mT)) @ agreeing
