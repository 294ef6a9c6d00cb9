"""Label-free self-distillation: the VLM's own greedy answers to unlabelled questions, and KL to them.

FRISM eq. 8: E_x KL(P(.|x; theta_vlm) || P(.|x; theta_merged)). The tokens are not stated in what is
known of the paper; here the teacher's own greedy answer, teacher-forced, averaged over its tokens.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from rich.progress import track
from torch import Tensor

if TYPE_CHECKING:  # slow to import, needed for names only
    from PIL.Image import Image
    from transformers import PreTrainedModel, ProcessorMixin


@dataclass(frozen=True)
class TeacherBatch:
    """Prompts with the teacher's answers appended.

    Attributes:
        inputs: model inputs; `input_ids` and `attention_mask` of shape (batch, length).
        answer: bool (batch, length - 1): positions whose next token belongs to an answer.
        log_probs: the teacher's log P over the vocabulary at those positions, fp32 (tokens, vocabulary).
    """

    inputs: dict[str, Any]
    answer: Tensor
    log_probs: Tensor


@torch.no_grad()
def teacher_batches(
    model: "PreTrainedModel",
    processor: "ProcessorMixin",
    questions: Sequence[tuple["Image", str]],
    *,
    batch_size: int,
    max_new_tokens: int,
) -> list[TeacherBatch]:
    """Greedy answers of `model` to `questions` (picture, question), in batches, with its distributions.

    No label is read: a question carries none.
    """
    processor.tokenizer.padding_side = "left"
    starts = range(0, len(questions), batch_size)
    return [
        _teacher_batch(model, processor, questions[i : i + batch_size], max_new_tokens)
        for i in track(starts, "teacher answers")
    ]


def _teacher_batch(
    model: "PreTrainedModel",
    processor: "ProcessorMixin",
    questions: Iterable[tuple["Image", str]],
    max_new_tokens: int,
) -> TeacherBatch:
    questions = list(questions)
    prompts = [
        processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}],
            add_generation_prompt=True,
            tokenize=False,
        )
        for _, text in questions
    ]
    inputs = processor(
        text=prompts, images=[image for image, _ in questions], padding=True, return_tensors="pt"
    )
    inputs = {name: value.to(model.device) for name, value in inputs.items()}
    sequences = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
    prompt_length = inputs["input_ids"].shape[1]
    answered = _until_end(sequences[:, prompt_length:], model.generation_config.eos_token_id)
    inputs |= {
        "input_ids": sequences,
        "attention_mask": torch.cat([inputs["attention_mask"], answered.long()], dim=1),
    }
    if "mm_token_type_ids" in inputs:  # answers are text: type 0
        types = inputs["mm_token_type_ids"]
        inputs["mm_token_type_ids"] = torch.cat([types, types.new_zeros(answered.shape)], dim=1)
    answer = torch.zeros_like(sequences[:, 1:], dtype=torch.bool)
    answer[:, prompt_length - 1 :] = answered
    return TeacherBatch(inputs, answer, answer_log_probs(model, inputs, answer))


def _until_end(tokens: Tensor, end: int | list[int] | None) -> Tensor:
    """Which generated tokens belong to the answer: everything up to and with the first end token."""
    ends = torch.isin(tokens, torch.tensor([] if end is None else end, device=tokens.device))
    return (ends.cumsum(dim=1) - ends.long()) == 0


def answer_log_probs(model: "PreTrainedModel", inputs: dict[str, Any], answer: Tensor) -> Tensor:
    """log P over the vocabulary at the answers' positions, fp32 (tokens, vocabulary)."""
    logits = model(**inputs, use_cache=False).logits[:, :-1]
    return torch.log_softmax(logits[answer].float(), dim=-1)


def forward_kl(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean over tokens of KL(teacher || student); both log-probabilities (tokens, vocabulary), T = 1."""
    return torch.nn.functional.kl_div(student, teacher, log_target=True, reduction="none").sum(-1).mean()
