"""Inside vLLM's workers: merge a variant there and fill it in, in place (`worker_extension_cls`).

What travels is the name of a folder; no tensor leaves the worker, no checkpoint is written, nothing restarts.
"""

import logging
import os
import threading
import time
from typing import Any

from benchmarks.answering.tower_stream import Swap, open_stream

# vLLM complains of the vision tower, embedding and head, which keep V's values and are not streamed.
_TALKATIVE = ("layerwise", "inplace")


class VariantWorker:
    """Adds methods to vLLM's worker, whose attributes `device` and `vllm_config` it uses."""

    device: Any
    vllm_config: Any
    reload_weights: Any

    def load_variant(self, swap: dict[str, Any]) -> dict[str, Any]:
        """Fill the language tower; return the recipe's key ("": V), tensors and sums. See `Swap`.

        Raises what the merge raised once vLLM is through, which then has V's values from there on.
        """
        stream = open_stream(Swap(**swap), self.device, self.vllm_config.model_config.dtype)
        for name in _TALKATIVE:
            logging.getLogger(f"vllm.model_executor.model_loader.reload.{name}").setLevel(logging.ERROR)
        self.reload_weights(weights_iterator=iter(stream))
        if stream.error is not None:
            raise stream.error
        return _describe(stream)

    def sum_up_variant(self, swap: dict[str, Any]) -> dict[str, Any]:
        """Return what `load_variant` would, and load nothing."""
        stream = open_stream(Swap(**swap), self.device, self.vllm_config.model_config.dtype)
        for _ in stream:
            pass
        if stream.error is not None:
            raise stream.error
        return _describe(stream)

    def end_with_parent(self, parent: int) -> None:
        """End this process once the one that started the engine is gone, killed perhaps: it holds the GPU."""

        def watch() -> None:
            while _is_alive(parent):
                time.sleep(1)
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def _describe(stream: Any) -> dict[str, Any]:
    key = stream.recipe.key if stream.recipe is not None else ""
    return {"key": key, "count": stream.count, "norms": stream.sums.norms, "totals": stream.sums.totals}


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
