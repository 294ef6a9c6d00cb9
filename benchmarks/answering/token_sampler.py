"""Draw the next token of every row at random, from numbers that belong to the row alone."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from benchmarks.study.sampling_settings import SamplingSettings


class TokenSampler:
    """Draws tokens by inversion: the first whose cumulative probability exceeds a uniform number.

    The numbers come from a counter-based generator (Philox; Salmon et al. 2011) per row, step after step, so
    a row's answer depends on neither the rows beside it nor the device that draws. The distribution is what
    `generate` samples from, by transformers' own warpers.

    Args:
        settings: temperature, top_k and top_p.
        seeds: of every row. steps: the most tokens of a row.
    """

    def __init__(self, settings: SamplingSettings, seeds: Sequence[int], steps: int) -> None:
        self.warpers = LogitsProcessorList()
        if settings.temperature != 1:
            self.warpers.append(TemperatureLogitsWarper(settings.temperature))
        if settings.top_k is not None:
            self.warpers.append(TopKLogitsWarper(settings.top_k))
        if settings.top_p < 1:
            self.warpers.append(TopPLogitsWarper(settings.top_p))
        drawn = [np.random.Generator(np.random.Philox(key=seed)).random(steps) for seed in seeds]
        self._numbers = torch.from_numpy(np.stack(drawn))

    def choose(self, logits: Tensor, rows: Sequence[int], step: int) -> Tensor:
        """Choose a token (len(rows),) for each of `rows` by its logits (len(rows), vocabulary).

        `step` counts the tokens of an answer from 0.
        """
        numbers = self._numbers[list(rows), step].to(logits.device)
        warped = self.warpers(torch.empty(0), logits)  # none of these looks at the tokens so far
        # In double precision: single would move the limits of rare tokens.
        limits = warped.softmax(-1).double().cumsum(-1)
        wanted = (numbers * limits[:, -1])[:, None]
        return torch.searchsorted(limits, wanted, right=True).squeeze(-1).clamp_(max=logits.shape[-1] - 1)
