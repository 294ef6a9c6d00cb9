"""SAR: where both models changed an entry against each other, the more sensitive one stays; then thinned.

After Sensitivity-aware Resolving Merging (The Sparsity Curse, arXiv 2606.18521), made for donors trained by
RL, whose updates are sparse and nearly orthogonal. Its text was not at hand beyond the abstract (conflicts in
overlapping regions are resolved by Fisher information, then sparsified by magnitude and rescaled), so every
formula is this project's: an entry that both changed, in different directions, keeps the task vector with the
larger F_t tau_t^2, the second-order loss of undoing it; other entries keep both; per tensor the `density`
largest stay, rescaled to the L1 norm of all; B + `strength` * the result. F as in `fisher`, with its
deviations.
"""

import torch

from baselines._experts import Asking, measure_both_fishers
from baselines._trimming import cut
from frism.method import Array, Fitted, Fitting, Share, Site

GRANULARITY = "entry"
GRADIENTS = "model"
NEEDS = {"calibration"}


def merge(site: Site, *, density: Share = 0.5, strength: float = 1.0) -> Array:
    """Merge one tensor, fp32. `site.fitted["lrm_wins"]`: where R is the more sensitive one."""
    tau_v, tau_r, of_lrm = site.tau_v, site.tau_r, site.fitted["lrm_wins"]
    both = tau_v + tau_r
    resolved = torch.where(tau_v * tau_r < 0, torch.where(of_lrm > 0, tau_r, tau_v), both)
    kept = cut(resolved.contiguous(), density, exact=False).keep(resolved)
    scale = resolved.abs().sum() / kept.abs().sum().clamp(min=1e-30)
    return site.base + strength * scale * kept


def fit(fitting: Fitting, *, asking: Asking) -> Fitted:
    """Estimate both Fisher informations; find where R's update is the more sensitive one."""
    measured, wins = measure_both_fishers(fitting, asking), {}
    for site in fitting.sites():
        of_vlm, of_lrm = (measured[role][site.name] for role in ("vlm", "lrm"))
        more = of_lrm * site.tau_r.cpu().square() > of_vlm * site.tau_v.cpu().square()
        wins[site.name] = {"lrm_wins": more.to(torch.uint8)}
    return Fitted(tensors=wins)
