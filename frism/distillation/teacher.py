"""Ask the teacher: V's greedy answers to unlabelled questions, and its distribution at every answer token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from frism.distillation.collation import PER_TOKEN, ModelInputs, collate
from frism.distillation.receiver import Receiver
from frism.distillation.targets import Direction, FullTarget, Target, TopKTarget
from frism.distillation.tower_inputs import TowerCall, cache_picture_features, move_to, record, replay

_TARGETS: dict[str, type[FullTarget] | type[TopKTarget]] = {
    kind.__name__: kind for kind in (FullTarget, TopKTarget)
}
ANSWER_TYPES = {"paligemma": 1}  # where `token_type_ids` 0 means that a token sees those after it too


@dataclass(frozen=True)
class TeacherSettings:
    """Say how the teacher answers.

    Attributes:
        max_new_tokens: most tokens of its answer.
        tokens: "answer": targets at all of the answer's tokens; "first": at its first alone.
        top_k: likeliest tokens of a target; 0 keeps the whole distribution.
        temperature: at which the likeliest tokens' probabilities are taken.
    """

    max_new_tokens: int = 32
    tokens: Literal["answer", "first"] = "answer"
    top_k: int = 0
    temperature: float = 1.0


@dataclass(frozen=True)
class Example:
    """Hold a batch of questions with the teacher's answers, as the language tower sees them.

    Attributes:
        call: the language tower's arguments for prompts and answers, (batch, length) tokens.
        answer: bool (batch, length), the positions whose next token belongs to an answer; n in all.
        tokens: int64 (n,), these next tokens, question by question.
        target: the teacher's distributions there.
    """

    call: TowerCall
    answer: Tensor
    tokens: Tensor
    target: Target

    def state(self) -> dict[str, Any]:
        """Return nested plain containers with all tensors on the CPU: what `torch.save` takes."""
        target = {"kind": type(self.target).__name__, **vars(self.target)}
        state: dict[str, Any] = move_to(vars(self) | {"target": target}, torch.device("cpu"))
        return state

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Example":
        """Return the example that `state` was made of."""
        target = dict(state["target"])
        return cls(**{**state, "target": _TARGETS[target.pop("kind")](**target)})

    def logits(self, receiver: Receiver) -> Tensor:
        """Return the current model's logits at the n positions, (n, vocabulary), fp32 (or float64).

        Nowhere else are logits computed.
        """
        hidden = replay(receiver, self.call)
        return receiver.logits(hidden[self.answer.to(hidden.device)])

    def divergence(
        self, receiver: Receiver, temperature: float = 1.0, direction: Direction = "forward"
    ) -> Tensor:
        """Return the mean over the n tokens of the current model's divergence from the teacher (a scalar)."""
        return self.target.divergence(receiver, self.logits(receiver), temperature, direction)


@torch.no_grad()
def answer_questions(receiver: Receiver, rows: Sequence[ModelInputs], settings: TeacherSettings) -> Example:
    """Let V answer some questions (`frism.distillation.prompts.prepare_questions`) together.

    No label is read: a question carries none.
    """
    tokenizer = receiver.processor.tokenizer
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (tokenizer.eos_token_id or 0)
    inputs = _move_inputs(collate(rows, pad), receiver)
    length = inputs["input_ids"].shape[1]
    if settings.tokens == "first":
        answers = inputs["input_ids"].new_zeros(len(rows), 1)  # not fed to the model; known below
        mask = torch.ones_like(answers, dtype=torch.bool)
        call = record(receiver, inputs)
    else:
        with cache_picture_features(receiver.model):
            answers = _answer_greedily(receiver, inputs, settings.max_new_tokens, pad)
            mask = _mask_answers(answers, receiver.model.generation_config.eos_token_id)
            call = record(receiver, append_answers(inputs, answers, mask, receiver.model.config.model_type))
    answer = torch.zeros(len(rows), length - 1 + answers.shape[1], dtype=torch.bool, device=answers.device)
    answer[:, length - 1 :] = mask
    hidden = replay(receiver, call)
    hidden = hidden[answer.to(hidden.device)]
    tokens = answers[mask]
    if settings.tokens == "first":
        logits = receiver.logits(hidden)
        logits[:, _find_placeholders(receiver)] = -torch.inf
        tokens = logits.argmax(-1)
    return Example(call, answer, tokens, _target(receiver, hidden, settings))


def _target(receiver: Receiver, hidden: Tensor, settings: TeacherSettings) -> Target:
    if settings.top_k:
        logits = receiver.logits(hidden)
        if settings.top_k < logits.shape[-1]:
            return TopKTarget.from_logits(logits, settings.top_k, settings.temperature)
    return FullTarget(hidden)


def _move_inputs(inputs: ModelInputs, receiver: Receiver) -> ModelInputs:
    dtype = receiver.model.dtype
    moved: ModelInputs = move_to(inputs, receiver.device)
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in moved.items()}


def _find_placeholders(receiver: Receiver) -> list[int]:
    """Return the ids of tokens that stand for pictures: an answer must not hold them, having no picture."""
    config = receiver.model.config
    tokens = [getattr(config, name, None) for name in ("image_token_id", "video_token_id")]
    return [token for token in tokens if token is not None]


def _answer_greedily(receiver: Receiver, inputs: ModelInputs, max_new_tokens: int, pad: int) -> Tensor:
    """Generate (batch, at most max_new_tokens) tokens; rows that end early are filled up with `pad`."""
    # A released model's generation config may sample or punish repetition: the teacher does neither.
    plain = {
        "do_sample": False, "num_beams": 1, "repetition_penalty": 1.0, "temperature": None, "top_p": None,
        "top_k": None, "suppress_tokens": _find_placeholders(receiver),
    }  # fmt: skip
    sequences: Tensor = receiver.model.generate(
        **inputs, max_new_tokens=max_new_tokens, pad_token_id=pad, **plain
    )
    return sequences[:, inputs["input_ids"].shape[1] :]


def _mask_answers(tokens: Tensor, end: int | list[int] | None) -> Tensor:
    """Return which generated tokens belong to the answer: those up to the first end token, included."""
    ends = torch.isin(tokens, torch.tensor([] if end is None else end, device=tokens.device))
    return (ends.cumsum(dim=1) - ends.long()) == 0


def append_answers(inputs: ModelInputs, answers: Tensor, mask: Tensor, model_type: str) -> ModelInputs:
    """Return the inputs (batch, length) with the answers' tokens but the last, which nothing follows.

    Args:
        answers: (batch, n) token ids. mask: bool, same shape, which of them belong to an answer.
    """
    extensions = {
        "input_ids": answers,
        "attention_mask": mask.long(),
        "mm_token_type_ids": torch.zeros_like(answers),  # text
        "token_type_ids": torch.full_like(answers, ANSWER_TYPES.get(model_type, 0)),
    }
    if "cross_attention_mask" in inputs:  # an answer sees what the prompt's last token sees
        last = inputs["cross_attention_mask"][:, -1:]
        extensions["cross_attention_mask"] = last.expand(-1, answers.shape[1], *last.shape[2:])
    return {
        name: torch.cat([value, extensions[name][:, :-1].to(value.dtype)], dim=1)
        if name in PER_TOKEN
        else value
        for name, value in inputs.items()
    }
