"""Single inputs become one batch: tokens meet on the right, pictures keep their size at the end."""

import torch

from frism.distillation.collation import collate


def test_tokens_are_padded_on_the_left_and_pictures_at_the_end() -> None:
    one = {"input_ids": torch.tensor([[5, 6]]), "pixel_values": torch.ones(1, 2, 3)}
    other = {"input_ids": torch.tensor([[7, 8, 9]]), "pixel_values": torch.ones(2, 1, 4)}
    both = collate([one, other], pad_token=99)
    assert both["input_ids"].tolist() == [[99, 5, 6], [7, 8, 9]]
    assert both["pixel_values"].shape == (3, 2, 4)
    assert both["pixel_values"][0, :, 3].sum() == 0
    assert both["pixel_values"][1:, 1].sum() == 0
    assert both["pixel_values"].sum() == 6 + 8
