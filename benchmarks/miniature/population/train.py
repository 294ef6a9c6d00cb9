"""Train one model of the population: `python -m benchmarks.miniature.population.train b1/vlm_turned`.

One thread; what a killed run had done is taken up with the same bits. `snakemake --cores 2
population_models` trains all of them, two at a time.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from transformers import (
    PreTrainedModel,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2ForCausalLM,
)

from benchmarks.miniature.base import train_base
from benchmarks.miniature.keeper import Keeper
from benchmarks.miniature.lrm import train_lrm
from benchmarks.miniature.population.members import BASE, DEGREES, MODELS, REPLAY, Member
from benchmarks.miniature.population.turned import train_turned_vlm
from benchmarks.miniature.train import write_model
from benchmarks.miniature.vlm import train_vlm
from frism.errors import UserError, report_errors
from frism.files import sha256_file

RECIPE = 1  # raise it when the recipe changes: states of another one are not taken up
Fit = Callable[..., PreTrainedModel]


def train(member: Member, models: Path, threads: int = 1, **sizes: int) -> None:
    """Train a member below `models` from its parents, which must be there. `sizes`: numbers of steps.

    Raises UserError for a member that the repository ships, and where a parent is missing.
    """
    if member.shipped:
        raise UserError(
            f"{member.name} comes with the repository ({member.folder()}): there is nothing to train."
        )
    parents = {parent.part: parent.folder(models) for parent in member.parents}
    for folder in parents.values():
        if not (folder / "model.safetensors").is_file():
            raise UserError(
                f"{folder}/model.safetensors is missing, from which {member.name} grows: train it first."
            )
    hashes = [sha256_file(folder / "model.safetensors") for folder in parents.values()]
    key = f"{member.name} recipe {RECIPE} seed {member.seed} {sizes} {' '.join(hashes)}"

    def run(processor: Qwen2_5_VLProcessor, curve: Path, keeper: Keeper | None) -> PreTrainedModel:
        common = {"seed": member.seed, "keeper": keeper, **sizes}
        if member.part == BASE:
            return train_base(processor, curve, patient=True, **common)  # type: ignore[arg-type]
        base = Qwen2ForCausalLM.from_pretrained(parents[BASE], dtype=torch.float32)
        if not member.sees:
            replay = REPLAY[member.kind]
            return train_lrm(base, processor, curve, replay=replay, **common)  # type: ignore[arg-type]
        if member.kind == "aligned":
            return train_vlm(base, processor, curve, patient=True, **common)  # type: ignore[arg-type]
        aligned = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            parents["vlm_aligned"], dtype=torch.float32
        )
        return train_turned_vlm(base, aligned, processor, curve, degrees=DEGREES, **common)  # type: ignore[arg-type]

    write_model(member.folder(models), threads, run, sees=member.sees, key=key)


@report_errors()
def main(
    name: Annotated[str, typer.Argument(help="The model: b1/base, b1/vlm_turned, b1/lrm_forgetful, ...")],
    models: Annotated[Path, typer.Option(help="The folder of the population's models.")] = MODELS,
    threads: Annotated[int, typer.Option(help="CPU threads; another number gives other bits.")] = 1,
) -> None:
    """Train one model of the population from its parents."""
    train(Member.parse(name), models, threads)


if __name__ == "__main__":
    typer.run(main)
