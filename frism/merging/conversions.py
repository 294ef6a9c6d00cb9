"""Run transformers' own conversions on merged tensors: what its loader makes of several stored ones."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from torch import Tensor
from transformers import conversion_mapping, core_model_loading


class Conversions:
    """Turn stored tensors of a checkpoint into parameters of its loaded model.

    `stored`: the names of all tensors of the checkpoint, since some renamings depend on others.
    """

    def __init__(self, model: Any, stored: Iterable[str]) -> None:
        self._model = model
        transforms = conversion_mapping.get_model_conversion_mapping(model)
        renamings = [one for one in transforms if isinstance(one, core_model_loading.WeightRenaming)]
        converters = [one for one in transforms if isinstance(one, core_model_loading.WeightConverter)]
        self._converters = {pattern: one for one in converters for pattern in one.source_patterns}
        prefix, state = model.base_model_prefix, model.state_dict()
        self._renamed = {
            name: core_model_loading.rename_source_key(name, renamings, converters, prefix, state)
            for name in sorted(stored, key=core_model_loading.dot_natural_key)
        }

    def convert(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return parameters by name, made of stored tensors that belong together."""
        order = [name for name in self._renamed if name in tensors]
        first, pattern = self._renamed[order[0]]
        assert pattern is not None
        converter = deepcopy(self._converters[pattern])
        for name in order:
            loaded, source = self._renamed[name]
            assert source is not None
            converter.add_tensor(loaded, name, source, tensors[name])
        made = converter.convert(first, model=self._model, config=self._model.config)
        return {name: value[0] if isinstance(value, list) else value for name, value in made.items()}
