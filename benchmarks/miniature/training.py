"""Train a model on documents drawn on the fly, and measure its accuracies."""

import csv
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import track
from transformers import GenerationMixin, PreTrainedModel, Qwen2_5_VLProcessor

from benchmarks.miniature import question_families as q
from benchmarks.miniature.documents import Batcher, Document, Writer
from benchmarks.miniature.keeper import Keeper
from benchmarks.miniature.world import describe, render

Drawer = Callable[[random.Random, float], Document]  # (random numbers, progress in 0..1) -> document


def fit(
    model: PreTrainedModel,
    optimizers: list[torch.optim.Optimizer],
    draw: Drawer,
    batcher: Batcher,
    *,
    steps: int,
    batch: int,
    seed: int,
    stage: str,
    curve: Path,
    decay: float = 0.3,
    prepare: Callable[[list[Document]], None] | None = None,
    patience: float | None = None,
    keeper: Keeper | None = None,
) -> None:
    """Train `steps` steps on fresh documents; append (stage, step, loss) to the CSV `curve`.

    The step size warms up over 30 steps and falls linearly to nearly nothing over the last `decay`
    share. `prepare` is called with each step's documents. Bit for bit repeatable on one machine at
    one thread count.

    Args:
        patience: a loss. As long as the smoothed loss is above it the fall of the step size is put off, step
            by step, up to `steps` steps more: look-up forms sooner from one seed than from another.
        keeper: keeps the run's state, so that one that was cut off goes on with the same bits.
    """
    rng, run = random.Random(seed), _Run(steps)
    rates = [[group["lr"] for group in o.param_groups] for o in optimizers]
    if keeper is not None and (state := keeper.take_up(stage, model)) is not None:
        if state["finished"]:
            model.eval()
            return
        run = _Run(**state["run"])
        version, numbers, gauss = state["rng"]
        rng.setstate((version, tuple(numbers), gauss))
        for optimizer, own in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)
    trained = [p for p in model.parameters() if p.requires_grad]
    model.train()
    for step in track(run.go_on(), f"{stage:14}", total=run.total - run.step):
        if patience is not None and run.is_put_off(decay * steps, patience, limit=2 * steps):
            run.total += 1
        factor = min((step + 1) / 30, 1) * min(1, (run.total - step) / (decay * steps) + 0.02)
        for optimizer, initial in zip(optimizers, rates, strict=True):
            for group, rate in zip(optimizer.param_groups, initial, strict=True):
                group["lr"] = rate * factor
        documents = [draw(rng, min(step / steps, 1.0)) for _ in range(batch)]
        if prepare:
            prepare(documents)
        loss = model(**batcher(documents), use_cache=False).loss
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        run.smooth = loss.item() if run.smooth is None else 0.9 * run.smooth + 0.1 * loss.item()
        if step % 25 == 0 or step == run.total - 1:
            append_loss(curve, stage, step, run.smooth)
        if keeper is not None and (step + 1) % keeper.every == 0:
            keeper.keep(
                stage, model, finished=False, run=vars(run) | {"step": step + 1}, rng=rng.getstate(),
                optimizers=[optimizer.state_dict() for optimizer in optimizers],
            )  # fmt: skip
    if keeper is not None:
        keeper.keep(stage, model, finished=True)
    model.eval()


@dataclass
class _Run:
    """Where a stage stands: steps in all, the next step, the smoothed loss, whether the fall has begun."""

    total: int
    step: int = 0
    smooth: float | None = None
    falling: bool = False

    def go_on(self) -> Iterator[int]:
        """Yield the steps that are left; `total` may grow on the way."""
        while self.step < self.total:
            yield self.step
            self.step += 1

    def is_put_off(self, fall: float, patience: float, limit: int) -> bool:
        """Say whether the step size may not fall yet, `fall` steps before the end."""
        if self.falling or self.total - self.step > fall:
            return False
        self.falling = self.smooth is None or self.smooth <= patience or self.total >= limit
        return not self.falling


def append_loss(curve: Path, stage: str, step: int, loss: float) -> None:
    """Add a row (stage, step, loss) to the CSV `curve`, with a header if it is new."""
    new = not curve.exists()
    with curve.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(["stage", "step", "loss"])
        writer.writerow([stage, step, f"{loss:.4f}"])


@torch.inference_mode()
def measure_accuracies(
    model: GenerationMixin,
    processor: Qwen2_5_VLProcessor,
    families: Iterable[str],
    *,
    seen: bool,
    asked: bool = True,
    n: int = 100,
    split: str = "dev",
    seed: int = 0,
) -> dict[str, float]:
    """Measure the share of right final answers per question family, on `n` questions each of `split`.

    `seen`: pictures instead of descriptions. `asked`: with the request for steps (reasoning, short
    chains) or for a short answer (perception). A quick look for the model card; a study's scores come from
    the evaluation pipeline.
    """
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "left"
    result = {}
    for name in families:
        rng = random.Random(f"{seed}-{split}-{name}")
        items = [q.ask(q.FAMILIES[name], rng, split) for _ in range(n)]
        prompts = []
        for scene, question in items:
            request = (q.REQUEST_SHORT if name in q.PERCEPTION else q.REQUEST_STEPS) if asked else ""
            parts = [{"type": "text", "text": request + question.text}]
            if seen:
                parts.insert(0, {"type": "image"})
            else:
                parts[0]["text"] = f"{describe(scene)} {parts[0]['text']}"
            prompts.append(
                processor.apply_chat_template(
                    [{"role": "user", "content": parts}], add_generation_prompt=True, tokenize=False
                )
            )
        if seen:
            inputs = processor(
                text=prompts, images=[render(s) for s, _ in items], padding=True, return_tensors="pt"
            )
        else:
            inputs = tokenizer(prompts, padding=True, return_tensors="pt")
        output = model.generate(**inputs, max_new_tokens=48, do_sample=False)
        texts = tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        hits = [
            t.split("Answer")[-1].strip() == question.answer
            for t, (_, question) in zip(texts, items, strict=True)
        ]
        result[name] = sum(hits) / n
    return result


def make_writer_and_batcher(processor: Qwen2_5_VLProcessor) -> tuple[Writer, Batcher]:
    """Make the writer and the batcher that training needs, on one processor."""
    writer = Writer(processor)
    return writer, Batcher(processor, writer)
