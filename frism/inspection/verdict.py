"""Judge a triple: refused, ok with warnings, or ok, and the sentences that say why."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from frism.errors import UserError
from frism.triples.compatibility import compare_configs, compare_tokenizers, find_refusals
from frism.triples.triple import ROLES, Triple

if TYPE_CHECKING:
    from frism.inspection.alignment import TaskVectorNorms

Status = Literal["ok", "ok with warnings", "refused"]
# Two models of equal shape and unrelated training differ by about sqrt(2) of either's norm.
_UNRELATED = 0.7
# Where V and R share much more than B, B is not what both grew from.
_COMMON = 0.7


@dataclass(frozen=True)
class Verdict:
    """Hold reasons not to merge (`refusals`), what may spoil a merge (`warnings`) and harmless `notes`."""

    refusals: list[str]
    warnings: list[str]
    notes: list[str]

    @property
    def status(self) -> Status:
        """Return "refused", "ok with warnings" or "ok"."""
        return "refused" if self.refusals else "ok with warnings" if self.warnings else "ok"


def judge(triple: Triple, scope: str, *, text_receiver: bool = False, vlm_donor: bool = False) -> Verdict:
    """Collect every reason and warning that configs, headers and tokenizers give."""
    reasons = list(find_refusals(triple.towers, text_receiver=text_receiver, vlm_donor=vlm_donor))
    if not reasons:
        try:
            triple.names(scope)
        except UserError as error:
            reasons.append(str(error))
    if reasons:
        return Verdict(reasons, [], [])
    differences = compare_configs(triple.towers)
    warnings = [difference.explained for difference in differences if not difference.harmless]
    notes = [difference.sentence for difference in differences if difference.harmless]
    notes += triple.describe_donors()
    notes += [
        f"{role}: {note}" for role, checkpoint in triple.checkpoints.items() for note in checkpoint.notes
    ]
    return Verdict([], warnings + _compare_small_tensors(triple), notes + compare_tokenizers(triple.towers))


def add_value_findings(verdict: Verdict, triple: Triple, vectors: "TaskVectorNorms") -> Verdict:
    """Add to a verdict without refusals what only the tensors' values show."""
    refusals, warnings = _judge_values(triple, vectors)
    return Verdict(refusals, verdict.warnings + warnings, verdict.notes)


def _compare_small_tensors(triple: Triple) -> list[str]:
    """Warn of biases and norms that not all three models have, outside the scope or not."""
    warnings = []
    names = {role: set(triple.towers[role].names) for role in ROLES}
    for role in ("base", "lrm"):
        for kind in ("bias", "norm"):
            either = {**triple.towers[role].names, **triple.towers["vlm"].names}
            kinds = {name: triple.kind(name) or triple.towers[role].kind(name) for name in either}
            unmatched = sorted(name for name in names["vlm"] ^ names[role] if kinds[name] == kind)
            if unmatched:
                holder = "vlm" if unmatched[0] in names["vlm"] else role
                warnings.append(
                    f"V and {role} do not have the same {kind} tensors ({len(unmatched)} differ, such as "
                    f"{unmatched[0]} in {holder})."
                )
    return warnings


def _judge_values(triple: Triple, vectors: "TaskVectorNorms") -> tuple[list[str], list[str]]:
    total = vectors.total
    refusals, warnings = [], []
    if total.tau_lrm == 0:
        refusals.append("R equals B in every tensor of the scope: there is nothing to merge.")
    if total.tau_vlm == 0:
        warnings.append("V equals B in every tensor of the scope: interpolating with R is injecting tau_R.")
    base, tau_vlm, tau_lrm, cosine = _sum_matrices(triple, vectors)
    for role, norm in (("V", tau_vlm), ("R", tau_lrm)):
        if norm > _UNRELATED * base:
            warnings.append(f"|{role} - B| is {norm / base:.2f} of |B|: {role} looks trained from another B.")
    if cosine > _COMMON:
        warnings.append(
            f"cos(tau_V, tau_R) is {cosine:+.2f}: V and R share what B lacks, as if "
            "trained from another base."
        )
    return refusals, warnings


def _sum_matrices(triple: Triple, vectors: "TaskVectorNorms") -> tuple[float, float, float, float]:
    """Return |B|, |tau_V|, |tau_R| and their cosine over matrices: norm weights are near 1 in any model."""
    rows = [row for row in vectors.tensors if triple.kind(row.name) == "matrix"]
    base, vlm, lrm = (
        math.hypot(*values) for values in zip(*((r.base, r.tau_vlm, r.tau_lrm) for r in rows), strict=True)
    )
    product = sum(row.cosine * row.tau_vlm * row.tau_lrm for row in rows)
    return base or 1.0, vlm, lrm, product / (vlm * lrm) if vlm and lrm else 0.0
