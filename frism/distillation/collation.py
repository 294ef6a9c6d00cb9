"""Collate single questions' inputs into a batch: tokens padded on the left, pictures with zeros at the end.

Called once per question, a processor gives exactly what the model sees for it alone; what the processor would
pad or cut in a batch of its own never matters.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "cross_attention_mask")
ModelInputs = dict[str, Tensor]  # by name, as the model takes them


def collate(rows: Sequence[ModelInputs], pad_token: int) -> ModelInputs:
    """Return one batch of single inputs, by name.

    Pictures' tensors have a first dimension of pictures, tiles or questions, depending on the family; the
    others are brought to one size, as the processors themselves do for a batch.
    """
    result = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        parts = [row[name] for row in rows if name in row]
        left, fill = name in PER_TOKEN, pad_token if name == "input_ids" else 0
        shape = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
        result[name] = torch.cat([_pad(part, shape, left, fill) for part in parts])
    return result


def _pad(part: Tensor, shape: Sequence[int], left: bool, fill: int) -> Tensor:
    missing = [size - present for size, present in zip(shape, part.shape[1:], strict=True)]
    if not any(missing):
        return part
    # torch.nn.functional.pad counts from the last dimension; the first of `missing` is the tokens'.
    ends = [(size, 0) if left and dim == 0 else (0, size) for dim, size in enumerate(missing)]
    return pad(part, [n for pair in reversed(ends) for n in pair], value=fill)
