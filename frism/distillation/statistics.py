"""Measure what merging methods want to know of a model on its own answers: Fisher information, inputs."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from frism.distillation.experts import Expert
from frism.progress import count_up

Tensors = dict[str, Tensor]  # by canonical name


def measure_fisher(expert: Expert, parameters: Mapping[str, str], generator: torch.Generator) -> Tensors:
    """Estimate the diagonal of the Fisher information, of each tensor's shape, fp32 on the CPU.

    The mean over examples (of one question each) of the squared gradient of the log-likelihood of tokens
    drawn from the model's own distribution at every position of its answer: unbiased, as the tokens before it
    are given (Kunstner et al. 2019, arXiv 1905.12558, on why not the answer's own tokens).

    Args:
        parameters: path in the loaded model by canonical name. generator: a CPU one.
    """
    model = expert.receiver.model
    wanted = {name: model.get_parameter(path) for name, path in parameters.items()}
    sums = {name: torch.zeros_like(p, dtype=torch.float32, device="cpu") for name, p in wanted.items()}
    try:
        for parameter in wanted.values():
            parameter.requires_grad_(True)
        for example in count_up(expert.examples, f"Fisher information of {expert.role}", "examples"):
            logs = example.logits(expert.receiver).log_softmax(dim=-1)
            drawn = torch.multinomial(logs.detach().exp().float().cpu(), 1, generator=generator)
            loss = logs.gather(1, drawn.to(logs.device)).sum()
            for name, gradient in zip(wanted, torch.autograd.grad(loss, list(wanted.values())), strict=True):
                sums[name] += gradient.float().square().cpu()
    finally:
        for parameter in wanted.values():
            parameter.requires_grad_(False)
    return {name: total / len(expert.examples) for name, total in sums.items()}


@torch.no_grad()
def measure_inputs(expert: Expert, names: Iterable[str]) -> Tensors:
    """Measure the second moments of the inputs of linear layers: X^T X over tokens, (d_in, d_in), fp32, CPU.

    Over all tokens of prompts and answers; examples of one question each have no padding.
    """
    sums: Tensors = {}
    counts: dict[str, int] = {}

    def add(name: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0].reshape(-1, inputs[0].shape[-1]).float()
        sums[name] = sums.get(name, 0) + x.mT @ x
        counts[name] = counts.get(name, 0) + len(x)

    handles = [expert.receiver.modules[name].register_forward_pre_hook(partial(add, name)) for name in names]
    try:
        for example in count_up(expert.examples, f"inputs of {expert.role}", "examples"):
            example.logits(expert.receiver)
    finally:
        for handle in handles:
            handle.remove()
    return {name: (total / counts[name]).cpu() for name, total in sums.items()}
