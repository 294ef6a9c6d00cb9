"""Turn a running vLLM into another variant: the steps that are the same here and behind a server."""

import tempfile
from pathlib import Path
from typing import Any, Protocol

from benchmarks.answering.swap_proof import SwapProof
from benchmarks.answering.tower_stream import Swap, describe_folders
from frism.errors import UserError
from frism.method.fitted import Fitted
from frism.method.recipe import Recipe
from frism.triples.triple import Triple


class Running(Protocol):
    """A vLLM that runs."""

    def call(self, method: str, **arguments: Any) -> list[Any]:
        """Call a method of `VariantWorker` in every worker; return what they give."""

    def forget(self) -> None:
        """Reset the caches that depend on weights. Raises UserError when requests are under way."""

    def ask_probe(self, tokens: list[int]) -> list[float]:
        """Return the log-probabilities of a prompt's tokens, after the first."""


class Swapper:
    """Remembers what a vLLM is, should be and was.

    Args:
        triple: whose V was loaded.
        dtype: of the engine's parameters.
        probe: token ids of a prompt in words, by which swaps are proved.
    """

    def __init__(self, triple: Triple, dtype: str, probe: list[int]) -> None:
        self.triple, self._dtype, self._probe = triple, dtype, probe
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._wanted: tuple[Swap, str] | None = None  # with the recipe's key; None: V as it was loaded
        self._applied: tuple[Swap, str] | None = None
        self._proof = SwapProof(dtype)
        self.sound = True  # False between a swap that failed and the next that does not

    def want(self, recipe: Recipe, fitted: Fitted | None, spectra: Path | None) -> None:
        """Say what to become. Raises UserError for a recipe of other checkpoints or coefficients."""
        recipe.check(self.triple, fitted)
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="variants-")
        folder, found = Path(self._scratch.name, recipe.key), spectra.resolve() if spectra else None
        self._wanted = (Swap.save(self.triple, recipe, fitted, found, folder), recipe.key)

    def begin(self, engine: Running) -> None:
        """Take note of an engine that has just loaded V."""
        self._applied, self.sound, self._proof = None, True, SwapProof(self._dtype)
        whole = Swap(describe_folders(self.triple))
        held = engine.call("sum_up_variant", swap=whole.to_dict())[0]
        self._proof.check(held, engine.ask_probe(self._probe))

    def swap(self, engine: Running) -> None:
        """Become what is wanted, unless it is so: merge in the workers, reset the caches, prove it.

        Raises UserError when any of this fails; then nothing may be answered before another swap.
        """
        if self.sound and self._applied == self._wanted:
            return
        swap, key = self._wanted or (Swap(describe_folders(self.triple)), "")
        self.sound = False
        try:
            replies = engine.call("load_variant", swap=swap.to_dict())
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"vLLM could not turn into the variant with key '{key}' ({take_last_line(error)}): correct"
                " the cause and run again."
            ) from error
        tensors = len(self.triple.tower_names(self.triple.widest_scope))
        reply = self._proof.check_replies(replies, key, tensors)
        engine.forget()
        self._proof.check(reply, engine.ask_probe(self._probe))
        self.sound, self._applied = True, self._wanted

    def check(self) -> None:
        """Raise UserError after a swap that failed."""
        if not self.sound:
            raise UserError("the last swap of variants failed, so vLLM answers nothing: take a variant anew.")


def take_last_line(error: Exception) -> str:
    """Return the last line of an error's text: what vLLM raises tells the cause there."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
