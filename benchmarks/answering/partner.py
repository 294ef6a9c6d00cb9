"""Let R answer together with V: it reads the same prompt without the picture; their predictions are mixed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from benchmarks.answering.reader import Reader
from benchmarks.study.engine_settings import EngineSettings
from frism.errors import UserError
from frism.merging import on_load
from frism.method.discovery import find
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

_MEDIA = ("image", "video", "vision", "audio")


class Partner:
    """Holds the other model, and how its log-probabilities are mixed with the first one's.

    Args:
        model: a causal language model of transformers whose vocabulary is the first one's, as far as it goes.
        hidden: ids of tokens that it does not see: those which stand for pictures.
        mix: (log-probabilities of the first model, of this one), each (rows, vocabulary), to the mixed ones.
    """

    def __init__(self, model: Any, hidden: frozenset[int], mix: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.model, self._mix = model, mix
        self._size = int(model.get_input_embeddings().weight.shape[0])
        self._hidden = torch.tensor(sorted(hidden), dtype=torch.long, device=model.device)

    @classmethod
    def open(
        cls, triple: Triple, recipe: Recipe | None, settings: EngineSettings, vlm: Any, lrm: Any = None
    ) -> Self | None:
        """Load R beside the loaded V, unless it is there (`lrm`); None where a recipe mixes no predictions.

        Raises UserError when R and V give one token two numbers.
        """
        if recipe is None or not recipe.mixes:
            return None
        method = find(recipe.method or "")
        params = method.validate(recipe.params)
        if lrm is None:
            _check_vocabularies(triple)
            lrm = on_load.load_language_model(
                triple, "lrm", vlm.device, dtype=settings.torch_dtype, device_map=settings.device_map
            )
        return cls(lrm, find_media_tokens(vlm.config), lambda v, r: method.run_mix(v, r, params))

    def read(self, groups: Sequence[Mapping[str, Any]], room: int) -> Reader:
        """Read the text of prompts that the first model takes as `groups`."""
        return Reader(self.model, [self._translate(group) for group in groups], room)

    def mix(self, logits: Tensor, own: Tensor) -> Tensor:
        """Mix the first model's logits with this one's; returns log-probabilities over the first's tokens."""
        missing = logits.shape[-1] - own.shape[-1]
        own = own[:, : logits.shape[-1]] if missing < 0 else own  # what V has no token for cannot be said
        own = own.to(logits.device).log_softmax(-1)
        own = pad(own, (0, max(0, missing)), value=-torch.inf)
        return self._mix(logits.log_softmax(-1), own)

    def _translate(self, group: Mapping[str, Any]) -> dict[str, Tensor]:
        """Keep ids and mask; hidden tokens are masked, so that they take up no position either."""
        ids: Tensor = group["input_ids"].to(self.model.device)
        mask = group["attention_mask"].to(self.model.device)
        seen = ~torch.isin(ids, self._hidden) & (ids < self._size)
        return {"input_ids": ids.where(seen, 0), "attention_mask": mask * seen}


def find_media_tokens(config: Any) -> frozenset[int]:
    """Find the ids of the tokens that stand for pictures, sounds and their borders in a VLM's prompts."""
    named = config.to_dict().items()
    return frozenset(
        value
        for name, value in named
        if name.endswith(("_token_id", "_token_index")) and name.startswith(_MEDIA) and isinstance(value, int)
    )


def _check_vocabularies(triple: Triple) -> None:
    from transformers import AutoTokenizer

    vlm, lrm = (
        AutoTokenizer.from_pretrained(f, trust_remote_code=False).get_vocab()
        for f in (triple.vlm_folder, triple.lrm_folder)
    )
    for token, number in lrm.items():
        if vlm.get(token, number) != number:
            raise UserError(
                f"{triple.lrm_folder} (lrm): token {token!r} is number {number}, and {vlm[token]} in"
                f" {triple.vlm_folder}: predictions can only be mixed over one vocabulary; drop the variant."
            )
