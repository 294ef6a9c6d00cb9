"""Learning gates the plain way, in float64: every merged matrix formed, autograd, one question at a time.

Shares with the learner nothing but the files and the singular directions: own prompts, own greedy decoding,
own losses, own AdamW, gradients through W by torch.func.functional_call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from transformers import AutoModelForImageTextToText, AutoProcessor

from frism.spectra.spectra import Spectra
from frism.triples.triple import Triple


@dataclass
class Answered:
    """One question with the teacher's answer: inputs, where the answer starts, the teacher's distribution."""

    inputs: dict[str, Tensor]
    start: int
    log_p: Tensor


def learn(
    triple: Triple,
    questions: Sequence[tuple[Any, str]],
    spectra: Spectra,
    *,
    strength: float,
    alpha: float,
    lr: float,
    steps: int,
    max_new_tokens: int,
    tail_every: int = 1,
) -> dict[str, Tensor]:
    """All questions in every step; "<name>/open" and "<name>/open_tail" in float64, and "kl" (steps,)."""
    model = AutoModelForImageTextToText.from_pretrained(triple.vlm_folder, dtype=torch.float64).eval()
    model.requires_grad_(False)
    processor = AutoProcessor.from_pretrained(triple.vlm_folder)
    answered = [_answer(model, processor, *question, max_new_tokens) for question in questions]
    own = dict(model.named_parameters())
    found = {name: spectra.load(name) for name in triple.names("mat")}
    parts = {name: [t.double() for t in (f.u, f.s, f.vh)] for name, f in found.items()}
    rest = {name: (spectra.task_vector(name).double() - (u * s) @ vh, f.tail.double())
            for (name, (u, s, vh)), f in zip(parts.items(), found.values(), strict=True)
            if f.tail is not None}  # fmt: skip
    logits = {name: torch.zeros_like(s, requires_grad=True) for name, (_, s, _) in parts.items()}
    logits |= {f"{name}_tail": torch.zeros((), dtype=torch.float64, requires_grad=True) for name in rest}
    moments = {name: [torch.zeros_like(g), torch.zeros_like(g), 0] for name, g in logits.items()}
    total = sum(s.square().sum() for _, s, _ in parts.values()) + sum(t for _, t in rest.values())
    curve = []
    for step in range(steps):
        moving = [n for n in logits if not n.endswith("_tail") or step % tail_every == 0]
        weights, energy = {}, torch.zeros((), dtype=torch.float64)
        for name, (u, s, vh) in parts.items():
            opened = logits[name].sigmoid()
            update = u @ torch.diag(opened * s) @ vh
            energy = energy + (opened * s).square().sum()
            if name in rest:
                tail = logits[f"{name}_tail"].sigmoid()
                update, energy = update + tail * rest[name][0], energy + tail.square() * rest[name][1]
            key = triple.parameter_name(name)
            weights[key] = own[key] + strength * update
        losses = [_kl(functional_call(model, weights, (), a.inputs).logits[0], a) for a in answered]
        kl = torch.cat(losses).mean()
        curve.append(kl.item())
        loss = kl - alpha * energy / total
        gradients = torch.autograd.grad(loss, [logits[name] for name in moving])
        with torch.no_grad():
            for name, gradient in zip(moving, gradients, strict=True):
                _adam(logits[name], gradient, moments[name], lr)
    result = {f"{n.removesuffix('_tail')}/open{'_tail' * n.endswith('_tail')}": g.detach().sigmoid()
              for n, g in logits.items()}  # fmt: skip
    return result | {"kl": torch.tensor(curve, dtype=torch.float64)}


@torch.no_grad()
def _answer(model: Any, processor: Any, picture: Any, text: str, room: int) -> Answered:
    message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]
    prompt = processor.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    inputs = dict(processor(text=[prompt], images=[picture], return_tensors="pt"))
    inputs["pixel_values"] = inputs["pixel_values"].double()
    start, ends = inputs["input_ids"].shape[1], {model.generation_config.eos_token_id}
    forbidden = [model.config.image_token_id, model.config.video_token_id]
    for _ in range(room):
        last = model(**inputs, use_cache=False).logits[0, -1]
        last[forbidden] = -torch.inf
        token = last.argmax()
        for name, value in (("input_ids", token), ("attention_mask", 1), ("mm_token_type_ids", 0)):
            further = torch.full((1, 1), int(value), dtype=inputs[name].dtype)
            inputs[name] = torch.cat([inputs[name], further], dim=1)
        if int(token) in ends:
            break
    log_p = model(**inputs, use_cache=False).logits[0, start - 1 : -1].log_softmax(-1)
    return Answered(inputs, start, log_p)


def _kl(logits: Tensor, answered: Answered) -> Tensor:
    log_q = logits[answered.start - 1 : -1].log_softmax(-1)
    return (answered.log_p.exp() * (answered.log_p - log_q)).sum(-1)


def _adam(logits: Tensor, gradient: Tensor, moments: list[Any], lr: float) -> None:
    first, second, count = moments
    moments[2] = count = count + 1
    first.mul_(0.9).add_(gradient, alpha=0.1)
    second.mul_(0.999).add_(gradient.square(), alpha=0.001)
    logits -= lr * (first / (1 - 0.9**count)) / ((second / (1 - 0.999**count)).sqrt() + 1e-8)
