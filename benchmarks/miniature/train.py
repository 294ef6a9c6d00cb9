"""Train one model of the miniature: `python -m benchmarks.miniature.train base --out DIR`."""

import os
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
import yaml
from transformers import (
    PreTrainedModel,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2ForCausalLM,
)
from transformers.utils import logging

from benchmarks.miniature.base import train_base
from benchmarks.miniature.keeper import Keeper
from benchmarks.miniature.lrm import train_lrm
from benchmarks.miniature.sft_text import train_sft_text
from benchmarks.miniature.tokenizer import build_processor, build_tokenizer
from benchmarks.miniature.vlm import train_vlm

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)
Out = Annotated[Path, typer.Option(help="Folder to write; replaced only when training has finished.")]
Base = Annotated[Path, typer.Option(help="Folder of the trained base model B.", exists=True)]
Trainer = Callable[[Qwen2_5_VLProcessor, Path, Keeper | None], PreTrainedModel]
Threads = Annotated[int, typer.Option(help="CPU threads. Results repeat bit for bit at one thread count.")]


@app.command()
def base(out: Out, threads: Threads = 2) -> None:
    """Train B (about 25 minutes on two cores)."""
    _train("base", out, None, threads)


@app.command()
def lrm(base: Base, out: Out, threads: Threads = 2) -> None:
    """Train R from B (about 2 minutes)."""
    _train("lrm", out, base, threads)


@app.command()
def vlm(base: Base, out: Out, threads: Threads = 2) -> None:
    """Train V from B (about 20 minutes)."""
    _train("vlm", out, base, threads)


@app.command()
def sft_text(
    vlm: Annotated[Path, typer.Option(help="Folder of the trained VLM V.", exists=True)],
    lrm: Annotated[Path, typer.Option(help="Folder of the trained reasoning model R.", exists=True)],
    out: Out,
    threads: Threads = 2,
) -> None:
    """Fine-tune V on R's text-only chains (about 3 minutes)."""

    def train(processor: Qwen2_5_VLProcessor, curve: Path, keeper: Keeper | None) -> PreTrainedModel:
        receiver = Qwen2_5_VLForConditionalGeneration.from_pretrained(vlm, dtype=torch.float32)
        teacher = Qwen2ForCausalLM.from_pretrained(lrm, dtype=torch.float32)
        return train_sft_text(receiver, teacher, processor, curve)

    write_model(out, threads, train, sees=True)


def _train(part: str, out: Path, base_folder: Path | None, threads: int) -> None:
    def train(processor: Qwen2_5_VLProcessor, curve: Path, keeper: Keeper | None) -> PreTrainedModel:
        if base_folder is None:
            return train_base(processor, curve)
        parent = Qwen2ForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
        return (train_lrm if part == "lrm" else train_vlm)(parent, processor, curve)

    write_model(out, threads, train, sees=part == "vlm")


def write_model(out: Path, threads: int, train: Trainer, *, sees: bool, key: str | None = None) -> None:
    """Train and write a folder, which gets its name last; `sees`: with a processor, not a tokenizer alone.

    With a `key`, which says what is trained and from what, the state is kept beside the folder while training
    runs, and a run that was cut off is taken up.
    """
    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    processor = build_processor(build_tokenizer())
    scratch = out.with_name(f".{out.name}.{os.getpid() if key is None else 'partial'}")
    curve, state = scratch / "loss.csv", scratch / "state"
    resumed = key is not None and any(state.glob("*.pt"))
    keeper = None
    if key is None:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
    else:
        keeper = Keeper.open(state, curve, f"{key}\n{threads} threads, torch {torch.__version__}")
        curve.unlink(missing_ok=True)  # a state that is taken up brings its own
    start = time.time()
    model = train(processor, curve, keeper)
    model.save_pretrained(scratch)
    (processor if sees else processor.tokenizer).save_pretrained(scratch)
    record = {
        "minutes": round((time.time() - start) / 60, 1),
        "threads": threads,
        "torch": str(torch.__version__),
        "machine": platform.machine(),
        **({"resumed": True} if resumed else {}),  # the minutes are those of the last run alone
    }
    (scratch / "training.yaml").write_text(yaml.safe_dump(record))
    shutil.rmtree(state, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    scratch.rename(out)


if __name__ == "__main__":
    app()
