"""What a gate-learning step costs beside a plain forward and backward pass of the same frozen layers.

    python tests/timing/gate_step.py --shape 7b --tokens 64 256 1024 --rank full 256
    python tests/timing/gate_step.py --shape miniature --tokens 512 2048
    python tests/timing/gate_step.py --shape 7b --device cuda --dtype bfloat16

One decoder layer of Qwen2.5's 7B or 3B shape with all seven matrices, or the miniature's whole text model, in
the real class with random weights. A step is forward, backward to the input and the gates, the injected
energy and AdamW; "plain" is forward and backward to the input with everything frozen. The two are timed in
turn in one process. With a truncated spectrum, "at rest" is a step that holds the tails, and "mean" counts in
what `--tail-every` costs: one step with the tails' gradients, and the weights made anew after it, with the
task vectors read from files. Peak memory is that of steps in further processes, one for each way, without
what they held before they made the layer; the limit is weights + factors + 25 %. Factors are random numbers
of their shapes: no time depends on their values. Set OMP_NUM_THREADS to what learning will use.
"""

import argparse
import gc
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# hidden, MLP, heads, heads of keys and values, layers
SHAPES = {"7b": (3584, 18944, 28, 4, 1), "3b": (2048, 11008, 16, 2, 1), "miniature": (128, 384, 4, 2, 6)}
LIMITS = {"full": 2.5, "256": 1.3}  # times the plain pass, issue's targets
MB = 1e6
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Case:
    """The frozen layers, an input, and the gates where they are asked for."""

    def __init__(self, shape: str, tokens: int, rank: int | None, device: str, dtype: str) -> None:
        import torch
        from transformers import Qwen2Config, Qwen2Model

        hidden, mlp, heads, keys, layers = SHAPES[shape]
        config = Qwen2Config(
            vocab_size=8, hidden_size=hidden, intermediate_size=mlp, num_hidden_layers=layers,
            num_attention_heads=heads, num_key_value_heads=keys,
        )  # fmt: skip
        self.torch, self.rank, self.device = torch, rank, torch.device(device)
        self.start = self.memory()
        torch.manual_seed(0)
        torch.set_default_dtype(getattr(torch, dtype))
        with self.device:
            self.model = Qwen2Model(config).eval().requires_grad_(False)
            self.x = torch.randn(1, tokens, hidden).requires_grad_()
        torch.set_default_dtype(torch.float32)
        self.modules = {
            f"{place}.weight": module
            for place, module in self.model.named_modules()
            if isinstance(module, torch.nn.Linear)
        }
        self.bytes = sum(module.weight.nbytes for module in self.modules.values())

    def add_gates(self, folder: Path) -> None:
        """Gates with random factors; a tail's task vectors lie in `folder`."""
        from safetensors.torch import save_file

        from frism.checkpoints.checkpoint import Checkpoint
        from frism.gates.gated_model import GatedInjection

        torch, case = self.torch, self
        if self.rank:
            for name, module in self.modules.items():
                if not (folder / name).exists():
                    (folder / name).mkdir()
                    (folder / name / "config.json").write_text("{}")
                    tau = {"tau": 1e-3 * torch.randn(module.weight.shape)}
                    save_file(tau, folder / name / "model.safetensors")

        class TaskVector:
            """By rows, as the checkpoints are read."""

            def __init__(self, name: str) -> None:
                self.checkpoint = Checkpoint(folder / name)

            def __getitem__(self, rows: slice) -> Any:
                return self.checkpoint.read("tau", rows)

        class Random(dict[str, Any]):
            """Spectra made as they are asked for, like ones that are read from a folder."""

            def __missing__(self, name: str) -> Any:
                return case.spectrum(name)

        self.injection = GatedInjection(
            self.modules, Random(), 1.0,
            task_vectors=TaskVector if self.rank else None,
        )  # fmt: skip
        self.optimizer = torch.optim.AdamW(self.injection.parameters(), lr=0.01, weight_decay=0.0)

    def spectrum(self, name: str) -> Any:
        from frism.spectra.spectrum import Spectrum

        torch, weight = self.torch, self.modules[name].weight
        d_out, d_in = weight.shape
        k = min(d_out, d_in, self.rank or d_out)
        dtype = weight.dtype if self.device.type == "cuda" else torch.float32
        with self.device:
            u, vh = torch.empty(d_out, k, dtype=dtype).normal_(), torch.empty(k, d_in, dtype=dtype).normal_()
            s = torch.linspace(1e-3, 1e-5, k)
        self.bytes += u.nbytes + vh.nbytes
        tail = torch.tensor(1e-3, device=self.device) if k < min(d_out, d_in) else None
        return Spectrum(u.mul_(d_out**-0.5), s, vh.mul_(d_in**-0.5), tail)

    def plain(self) -> None:
        """Forward and backward of the frozen layers."""
        self.model(inputs_embeds=self.x, use_cache=False).last_hidden_state.square().mean().backward()
        self.x.grad = None

    def gated(self, tails: bool = False) -> None:
        """A learning step; `tails`: with their gradients."""
        self.injection.set_tail_updates(tails)
        with self.injection.apply():
            out = self.model(inputs_embeds=self.x, use_cache=False).last_hidden_state
            loss = out.square().mean() - 0.1 * self.injection.injected_energy()
            loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.x.grad = None

    def memory(self) -> float:
        """Bytes in use now."""
        if self.device.type == "cuda":
            return self.torch.cuda.memory_allocated()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def forget_peak(self) -> None:
        """Let `peak` begin here."""
        if self.device.type == "cuda":
            self.torch.cuda.reset_peak_memory_stats()
        else:
            Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> float:
        """The most bytes in use since then, without what was in use before the layers were made."""
        if self.device.type == "cuda":
            return self.torch.cuda.max_memory_allocated() - self.start
        (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 - self.start

    def timed(self, work: Callable[[], None], clock: str) -> float:
        """Seconds by one of CLOCKS."""
        started = CLOCKS[clock]()
        work()
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()
        return CLOCKS[clock]() - started


def times(plain: Case, gated: Case, task: dict[str, Any]) -> dict[str, float]:
    """Median seconds of plain and gated passes, in turn; of a step with tails and the one after it."""
    ways = {"plain": plain.plain, "gated": gated.gated}
    seconds: dict[str, list[float]] = {way: [] for way in (*ways, "tails", "after")}
    for work in ways.values():
        work()
    for repeat in range(task["repeats"]):
        for way in sorted(ways, reverse=bool(repeat % 2)):
            seconds[way].append(gated.timed(ways[way], task["clock"]))
    for _ in range(3 if gated.rank else 0):
        seconds["tails"].append(gated.timed(partial(gated.gated, tails=True), task["clock"]))
        seconds["after"].append(gated.timed(gated.gated, task["clock"]))
    return {way: statistics.median(runs) for way, runs in seconds.items() if runs}


def peaks(case: Case, tails: bool) -> dict[str, float]:
    """The most memory of steps at rest, or of one with tails' gradients and the one after it."""
    case.gated()
    gc.collect()
    case.forget_peak()
    case.gated(tails=tails)
    case.gated()
    return {"peak": case.peak(), "bytes": case.bytes}


def worker(task: dict[str, Any]) -> dict[str, float]:
    """One process's measurement."""

    def make() -> Case:
        return Case(task["shape"], task["tokens"], task["rank"], task["device"], task["dtype"])

    case, folder = make(), Path(task["folder"])
    if task["way"] == "plain":
        case.plain()
        case.forget_peak()
        case.plain()
        return {"peak": case.peak(), "bytes": case.bytes}
    case.add_gates(folder)
    if task["way"] == "time":
        return times(make(), case, task)
    return peaks(case, tails=task["way"] == "tails")


def run(**task: Any) -> dict[str, float]:
    """`worker` in a process of its own."""
    command = [sys.executable, __file__, "--task", json.dumps(task)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print a row per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, nargs="+", default=["7b"])
    parser.add_argument("--tokens", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--rank", nargs="+", default=["full", "256"])
    parser.add_argument("--tail-every", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: on a shared machine")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="for task vectors")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.task:
        print(json.dumps(worker(json.loads(args.task))))
        return
    print("| shape | rank | tokens | plain | gated, at rest | ratio | mean ratio | limit | peak plain "
          "| peak gated | with tails | limit |")  # fmt: skip
    print("|" + "---|" * 12)
    for shape in args.shape:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            for rank, tokens in itertools.product(args.rank, args.tokens):
                case = {
                    "shape": shape, "tokens": tokens, "rank": None if rank == "full" else int(rank),
                    "device": args.device, "dtype": args.dtype, "folder": folder, "repeats": args.repeats,
                    "clock": args.clock,
                }  # fmt: skip
                seconds = run(way="time", **case)
                ways = ("plain", "gated") if rank == "full" else ("plain", "gated", "tails")
                memory = {way: run(way=way, **case) for way in ways}
                print(row(shape, rank, tokens, seconds, memory, args.tail_every), flush=True)


def row(
    shape: str,
    rank: str,
    tokens: int,
    seconds: dict[str, float],
    memory: dict[str, dict[str, float]],
    every: int,
) -> str:
    """A line of the table; times in ms, memory in MB."""
    plain, gated = seconds["plain"], seconds["gated"]
    extra = (seconds["tails"] + seconds["after"] - 2 * gated) / every if "tails" in seconds else 0.0
    limit = 1.25 * memory["gated"]["bytes"]
    tails = f"{memory['tails']['peak'] / MB:.0f}" if "tails" in memory else ""
    return (
        f"| {shape} | {rank} | {tokens} | {plain * 1e3:.1f} | {gated * 1e3:.1f} | {gated / plain:.2f} "
        f"| {(gated + extra) / plain:.2f} | {LIMITS.get(rank, '')} | {memory['plain']['peak'] / MB:.0f} "
        f"| {memory['gated']['peak'] / MB:.0f} | {tails} | {limit / MB:.0f} |"
    )


if __name__ == "__main__":
    main()
