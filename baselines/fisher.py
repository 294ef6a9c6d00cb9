"""Fisher merging: the mean of V and R, entry by entry, weighted by their Fisher information.

Fisher-weighted averaging, arXiv 2111.09832: (w F_V V + (1 - w) F_R R) / (w F_V + (1 - w) F_R), w =
`vlm_weight`, F the diagonal Fisher information from tokens that each model draws itself, along its own greedy
answers to unlabelled questions. Each model's F is divided by its mean and not let below `floor`, so that
neither scale nor zeros decide (libraries use an absolute floor of 1e-6, above nearly all of a language
model's values). Deviations: V is asked about the calibration pictures, R the same questions without them,
with V's embedding and head. The fit keeps a share of every entry: as much as the merged tensors themselves.
"""

from baselines._experts import Asking, measure_both_fishers
from frism.method import Array, Fitted, Fitting, Fraction, NonNegative, Site

GRANULARITY = "entry"
GRADIENTS = "model"
NEEDS = {"calibration"}
READS = {"vlm", "lrm"}


def merge(site: Site) -> Array:
    """Merge one tensor, fp32. `site.fitted["share"]`: R's part of every entry."""
    return site.vlm + site.fitted["share"] * (site.lrm - site.vlm)


def fit(fitting: Fitting, *, vlm_weight: Fraction = 0.5, floor: NonNegative = 1e-6, asking: Asking) -> Fitted:
    """Estimate both Fisher informations and compute R's share of every entry."""
    measured = measure_both_fishers(fitting, asking)
    weights = {"vlm": vlm_weight, "lrm": 1 - vlm_weight}
    scaled = {}
    for role, tensors in measured.items():
        count = sum(f.numel() for f in tensors.values())
        mean = sum(float(f.double().sum()) for f in tensors.values()) / count
        scaled[role] = {
            n: weights[role] * (f / max(mean, 1e-30)).clamp(min=floor) for n, f in tensors.items()
        }
    shares = {
        name: {"share": f / (f + scaled["vlm"][name]).clamp(min=1e-30)} for name, f in scaled["lrm"].items()
    }
    return Fitted(tensors=shares)
