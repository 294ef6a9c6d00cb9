"""Measure how much of V's attention goes to the picture, layer by layer."""

from collections.abc import Sequence

import torch
from torch import Tensor

from frism.distillation.prompts import Question, prepare_questions
from frism.distillation.receiver import Receiver
from frism.distillation.tower_inputs import move_to
from frism.errors import UserError


@torch.no_grad()
def measure_visual_share(receiver: Receiver, questions: Sequence[Question]) -> Tensor:
    """Return, for every decoder layer, (layers,) in float64, what text tokens give to visual ones.

    The attention mass on visual tokens over that on visual and text tokens (which is all of it), averaged
    over text tokens that have seen the picture, heads, and questions (FRANK, arXiv 2505.16151). Questions are
    asked one at a time, with attention computed in the plain way, which alone returns it.

    Raises UserError for an architecture that keeps no attention over visual tokens in its decoder layers.
    """
    model, name = receiver.model, getattr(receiver.model.config, "image_token_id", None)
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    total, count = torch.zeros(0, dtype=torch.float64), 0
    try:
        for index in range(len(questions)):
            (row,) = prepare_questions(receiver.processor, questions, [index])
            moved = move_to(row, receiver.device)
            inputs = {k: v.to(model.dtype) if v.is_floating_point() else v for k, v in moved.items()}
            visual = inputs["input_ids"][0] == name
            if not visual.any():
                raise UserError(
                    "the model marks no visual tokens in its prompt, so attention to them is unknown."
                )
            reading = ~visual & (visual.cumsum(0) > 0)
            attentions = model(**inputs, output_attentions=True, use_cache=False).attentions
            shares = [
                a[0][:, reading][:, :, visual.to(a.device)].sum(-1).double().mean().cpu() for a in attentions
            ]
            total = torch.stack(shares) + (total if count else 0)
            count += 1
    finally:
        model.set_attn_implementation(before)
    return total / count
