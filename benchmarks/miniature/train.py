"""Train one member of the triple: `python -m benchmarks.miniature.train base --out DIR`."""

import os
import platform
import shutil
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
import yaml
from transformers import PreTrainedModel, Qwen2ForCausalLM
from transformers.utils import logging

from benchmarks.miniature.base import train_base
from benchmarks.miniature.lrm import train_lrm
from benchmarks.miniature.tokenizer import build_processor, build_tokenizer
from benchmarks.miniature.vlm import train_vlm

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)
Out = Annotated[Path, typer.Option(help="Folder to write; replaced only when training has finished.")]
Base = Annotated[Path, typer.Option(help="Folder of the trained base model B.", exists=True)]
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


def _train(part: str, out: Path, base_folder: Path | None, threads: int) -> None:
    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    processor = build_processor(build_tokenizer())
    scratch = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    start = time.time()
    curve = scratch / "loss.csv"
    if base_folder is None:
        model: PreTrainedModel = train_base(processor, curve)
    else:
        parent = Qwen2ForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
        model = (train_lrm if part == "lrm" else train_vlm)(parent, processor, curve)
    model.save_pretrained(scratch)
    (processor if part == "vlm" else processor.tokenizer).save_pretrained(scratch)
    record = {
        "minutes": round((time.time() - start) / 60, 1),
        "threads": threads,
        "torch": str(torch.__version__),
        "machine": platform.machine(),
    }
    (scratch / "training.yaml").write_text(yaml.safe_dump(record))
    shutil.rmtree(out, ignore_errors=True)
    scratch.rename(out)


if __name__ == "__main__":
    app()
