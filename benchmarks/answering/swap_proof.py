"""Prove that an engine holds the variant that it was turned into: what it streamed against what it computes.

The recipe's key, which the worker reads off the files, says which variant was merged; that its values arrived
is seen in a probe: log-probabilities of a fixed prompt. Towers with equal sums must give equal ones, towers
that differ may not give the very same. Sums and probe come from different ends of the engine, so a swap that
changed nothing, went to memory that no kernel reads, or left a trace of the variant before shows at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from frism.errors import UserError

# Largest difference of a log-probability under equal weights: rounding in another order.
_TOLERANCES = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.1}
_FELT = 1e-3  # a tensor's norm or sum that moved by this share (of the norm) cannot leave a probe as it was


@dataclass(frozen=True)
class Seen:
    """Holds one tower's sums, and the probe that was answered with it."""

    key: str
    norms: tuple[float, ...]
    totals: tuple[float, ...]
    probe: tuple[float, ...]


@dataclass
class SwapProof:
    """Remembers what an engine has been, and compares what it is now.

    Args:
        dtype: of the engine's parameters.
    """

    dtype: str
    seen: list[Seen] = field(default_factory=list)

    def check_replies(
        self, replies: Sequence[Mapping[str, Any]], key: str, tensors: int
    ) -> Mapping[str, Any]:
        """Return the workers' one reply. Raises UserError unless all have loaded this variant whole."""
        keys = sorted({str(reply["key"]) for reply in replies})
        loaded = ", ".join(found or "V" for found in keys) or "nothing"
        if keys != [key]:
            raise UserError(
                f"vLLM's workers loaded {loaded} instead of the variant with key"
                f" '{key}': make the variant again."
            )
        if any(reply["count"] != tensors for reply in replies):
            raise UserError(
                f"vLLM's workers loaded {replies[0]['count']} tensors of the variant with key '{key}', whose"
                f" tower has {tensors}: report this, and set engine.name to transformers."
            )
        if any(reply["norms"] != replies[0]["norms"] for reply in replies):
            raise UserError(
                f"vLLM's workers merged the variant with key '{key}' to different values: run again, and if"
                " it stays so set engine.name to transformers."
            )
        return replies[0]

    def check(self, reply: Mapping[str, Any], probe: Sequence[float]) -> None:
        """Compare a probe with all earlier ones, and remember it.

        Raises UserError where equal towers answer differently, or clearly different ones the very same.
        """
        now = Seen(str(reply["key"]), tuple(reply["norms"]), tuple(reply["totals"]), tuple(probe))
        for before in self.seen:
            apart = max(abs(a - b) for a, b in zip(now.probe, before.probe, strict=True))
            if (now.norms, now.totals) == (before.norms, before.totals):
                if apart > _TOLERANCES[self.dtype]:
                    raise UserError(
                        f"vLLM turned into the variant with key '{now.key}', but computes otherwise than with"
                        f" the same weights before (a log-probability moved by {apart:.2g}): set"
                        " engine.vllm.enforce_eager, or engine.name to transformers."
                    )
            elif apart == 0 and _differ(now, before):
                raise UserError(
                    f"vLLM turned into the variant with key '{now.key}', but computes exactly as before: the"
                    " weights did not arrive; set engine.vllm.enforce_eager, or engine.name to transformers."
                )
        if now not in self.seen:
            self.seen.append(now)


def _differ(one: Seen, other: Seen) -> bool:
    """Tell whether two towers differ by so much that a model must feel it."""
    return any(
        max(abs(a - b), abs(c - d)) > _FELT * max(a, b)
        for a, b, c, d in zip(one.norms, other.norms, one.totals, other.totals, strict=True)
    )
