"""Inside vLLM's workers: merge a variant there and fill it in, in place (`worker_extension_cls`).

What travels is the name of a folder; no tensor leaves the worker, no checkpoint is written, nothing restarts.
"""

import logging
from typing import Any

from benchmarks.answering.tower_stream import Swap, TowerStream, open_stream

# vLLM complains of the vision tower, embedding and head, which keep V's values and are not streamed, and on a
# CPU of threads that a merge wants to itself.
_TALKATIVE = (
    "model_executor.model_loader.reload.layerwise", "model_executor.model_loader.reload.inplace",
    "v1.worker.cpu_worker",
)  # fmt: skip


class VariantWorker:
    """Adds methods to vLLM's worker, whose attributes `device` and `vllm_config` it uses."""

    device: Any
    vllm_config: Any
    reload_weights: Any

    def load_variant(self, swap: dict[str, Any]) -> dict[str, Any]:
        """Fill the language tower; return the recipe's key ("": V), tensors and sums. See `Swap`.

        Raises what the merge raised once vLLM is through, which then has V's values from there on.
        """
        stream = self._open(swap)
        self.reload_weights(weights_iterator=iter(stream))
        if stream.error is not None:
            raise stream.error
        return _describe(stream)

    def sum_up_variant(self, swap: dict[str, Any]) -> dict[str, Any]:
        """Return what `load_variant` would, and load nothing."""
        stream = self._open(swap)
        for _ in stream:
            pass
        if stream.error is not None:
            raise stream.error
        return _describe(stream)

    def _open(self, swap: dict[str, Any]) -> TowerStream:
        for name in _TALKATIVE:
            logging.getLogger(f"vllm.{name}").setLevel(logging.ERROR)
        return open_stream(Swap(**swap), self.device, self.vllm_config.model_config.dtype)


def _describe(stream: TowerStream) -> dict[str, Any]:
    key = stream.recipe.key if stream.recipe is not None else ""
    return {"key": key, "count": stream.count, "norms": stream.sums.norms, "totals": stream.sums.totals}
