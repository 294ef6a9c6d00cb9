"""Settings of learning gates: the loss, the optimiser, the targets; defaults where the paper is silent."""

from dataclasses import dataclass
from typing import Literal

from frism.method.ranges import Count, Index, NonNegative, Positive


@dataclass(frozen=True)
class Learning:
    """Say how gates are learned. The paper publishes no values: the defaults are this project's.

    alpha: weight of the injected energy (eq. 10); sweep it from 0.01 to 1.
    normaliser: of the injected energy (the paper's appendix H is not public): "energy" divides by
        sum_l ||S_l||^2, "none" leaves eq. 9 as written.
    steps, batch: optimiser steps, and questions of a step; questions are passed over in a seeded order.
    lr, schedule, weight_decay: of AdamW on the gates alone; the schedule is "constant", or "cosine" down to
        zero. Weight decay would pull every gate to one half.
    epsilon: of AdamW, torch's default. A gate whose gradient is far below it hardly moves, and the energy's
        gradient falls as one over the number of gates: with hundreds of thousands, try 1e-12.
    max_new_tokens: most tokens of the teacher's greedy answer.
    tokens: "answer" takes KL over all tokens of the teacher's answer, "first" over its first alone.
    divergence: "forward" is KL(teacher || student) as in eq. 8, "reverse" the other one.
    temperature: of both distributions.
    top_k: the teacher's most likely tokens kept as target, and one bucket for the exact rest; 0 keeps all.
    held_out: calibration questions held out; the KL on them is part of the curve, and decides on stopping.
    patience: stop when that KL minus alpha times the energy has not improved by `tolerance` for so many
        checks, one every `check_every` steps; 0 never stops early. Without held-out questions the mean over
        the steps since the last check is used.
    tail_every: steps from one update of a truncated spectrum's tail gates to the next.
    """

    alpha: float = 0.1
    normaliser: Literal["energy", "none"] = "energy"
    steps: Count = 300
    batch: Count = 8
    lr: Positive = 0.01
    schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: NonNegative = 0.0
    epsilon: Positive = 1e-8
    max_new_tokens: Count = 32
    tokens: Literal["answer", "first"] = "answer"
    divergence: Literal["forward", "reverse"] = "forward"
    temperature: Positive = 1.0
    top_k: Index = 0
    held_out: Index = 0
    patience: Index = 0
    tolerance: NonNegative = 0.0
    check_every: Count = 20
    tail_every: Count = 8
