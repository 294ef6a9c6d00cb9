"""Define lm-eval's models here: they generate, and are never asked for log-likelihoods."""

from collections.abc import Sequence
from typing import Any

from lm_eval.api.model import LM


class GeneratingLM(LM):
    """Answers by text alone: `benchmarks.text.generated_task` turns every task into one that generates."""

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Refuse: no task of ours asks."""
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood
