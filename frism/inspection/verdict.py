"""The verdict on a triple: refused, ok with warnings, or ok, and the sentences that say why."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from frism.errors import UserError
from frism.triples.compatibility import compare_configs, compare_tokenizers, find_refusals
from frism.triples.scopes import classify
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
    """`refusals` are reasons not to merge, `warnings` may spoil a merge, `notes` are differences to know."""

    refusals: list[str]
    warnings: list[str]
    notes: list[str]

    @property
    def status(self) -> Status:
        """refused, ok with warnings or ok."""
        return "refused" if self.refusals else "ok with warnings" if self.warnings else "ok"


def judge(triple: Triple, scope: str, *, text_receiver: bool = False) -> Verdict:
    """Collect every reason and warning that configs, headers and tokenizers give."""
    found = list(find_refusals(triple.towers, text_receiver=text_receiver))
    if not found:
        try:
            triple.names(scope)
        except UserError as error:
            found.append(str(error))
    if found:
        return Verdict(found, [], [])
    facts = compare_configs(triple.towers)
    warnings = [fact.explained for fact in facts if not fact.harmless] + _other_biases(triple)
    notes = [fact.sentence for fact in facts if fact.harmless]
    return Verdict([], warnings, notes + compare_tokenizers(triple.towers))


def add_value_findings(verdict: Verdict, vectors: "TaskVectorNorms") -> Verdict:
    """Add to a verdict without refusals what only the tensors' values show."""
    refused, warned = _judge_values(vectors)
    return Verdict(refused, verdict.warnings + warned, verdict.notes)


def _other_biases(triple: Triple) -> list[str]:
    """Warn of tensors in layers that not all three have, outside the scope or not."""
    warnings = []
    names = {role: set(triple.towers[role].names) for role in ROLES}
    for role in ("base", "lrm"):
        for what in ("bias", "norm"):
            odd = sorted(name for name in names["vlm"] ^ names[role] if classify(name) == what)
            if odd:
                owner = "vlm" if odd[0] in names["vlm"] else role
                warnings.append(
                    f"V and {role} do not have the same {what} tensors ({len(odd)} differ, such as {odd[0]} "
                    f"in {owner})."
                )
    return warnings


def _judge_values(vectors: "TaskVectorNorms") -> tuple[list[str], list[str]]:
    total = vectors.total
    refused, warned = [], []
    if total.tau_lrm == 0:
        refused.append("R equals B in every tensor of the scope: there is nothing to merge.")
    if total.tau_vlm == 0:
        warned.append("V equals B in every tensor of the scope: interpolating with R is injecting tau_R.")
    base, tau_vlm, tau_lrm, cosine = _sum_matrices(vectors)
    for role, norm in (("V", tau_vlm), ("R", tau_lrm)):
        if norm > _UNRELATED * base:
            warned.append(f"|{role} - B| is {norm / base:.2f} of |B|: {role} looks trained from another B.")
    if cosine > _COMMON:
        warned.append(
            f"cos(tau_V, tau_R) is {cosine:+.2f}: V and R share what B lacks, as if "
            "trained from another base."
        )
    return refused, warned


def _sum_matrices(vectors: "TaskVectorNorms") -> tuple[float, float, float, float]:
    """|B|, |tau_V|, |tau_R| and their cosine over matrices: norm weights are near 1 in any model."""
    rows = [row for row in vectors.tensors if classify(row.name) == "matrix"]
    base, vlm, lrm = (
        math.hypot(*values) for values in zip(*((r.base, r.tau_vlm, r.tau_lrm) for r in rows), strict=True)
    )
    product = sum(row.cosine * row.tau_vlm * row.tau_lrm for row in rows)
    return base or 1.0, vlm, lrm, product / (vlm * lrm) if vlm and lrm else 0.0
