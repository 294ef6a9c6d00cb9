"""Short trials of the very operations that a plan counts: this machine's rates, in two or three minutes."""

import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from pathlib import Path

import torch

from frism.files import synchronise
from frism.planning.machines import Algebra, Machine
from frism.planning.operations import Factorisation, factorisation_work
from frism.spectra.costs import sketch_width

TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SIDES = (112, 224, 448, 896, 1792, 2560)
LINEAR = ((2048, 2048), (5504, 2048), (2048, 5504))  # weights of a decoder layer, larger than any cache
SWEEPS = 2  # over all numbers of tokens: other tenants of a processor come and go
TALL = (8192, 1792)  # of the matrix whose products are tried
LONG_ENOUGH = 0.4  # seconds: clocks rise with work, and what is planned goes on for long
DTYPES = {"cpu": (torch.float32, torch.bfloat16, torch.float64), "cuda": (torch.bfloat16, torch.float32)}
# By routine: rows to columns of the sample, its precision, and what is run.
ROUTINES: dict[Factorisation, tuple[int, torch.dtype, Callable[[torch.Tensor], object]]] = {
    "gesdd": (1, torch.float32, lambda a: torch.linalg.svd(a, full_matrices=False)),
    "eigh": (1, torch.float64, lambda a: torch.linalg.eigh(a + a.T)),
    "qr": (4, torch.float32, torch.linalg.qr),
}
LOADED = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 2, "num_attention_heads": 16,
          "num_key_value_heads": 2, "vocab_size": 32768, "tie_word_embeddings": True}  # fmt: skip
FILE = 1 << 29  # bytes written and read
_PLAIN = "import frism.triples.triple"
_TORCH = f"{_PLAIN}, torch, frism.spectra.spectra, frism.merging.on_load"
_MODEL = (
    f"{_TORCH}, frism.gates.learner, frism.methods.frism; from transformers import"
    " AutoProcessor, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor"
    "; import transformers.models.qwen2_5_vl.modeling_qwen2_5_vl"
)
_IMPORTS = {"plain": _PLAIN, "torch": _TORCH, "model": _MODEL}
_PRIVATE = (
    "; from pathlib import Path; print(1024 * int(Path('/proc/self/status').read_text()"
    ".partition('RssAnon:')[2].split()[0]))"
)


def measure(device: str = "cpu", folder: Path | None = None) -> Machine:
    """Try everything on an otherwise idle machine.

    Args:
        device: where models are to run.
        folder: on the disk to be measured; None: the temporary folder.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch) / "trial"
        write, read, cached = disk(path)
        loading = load(Path(scratch) / "model", device)
    return Machine(
        title=title(device),
        provenance="measured",
        source=f"trials of {time.strftime('%Y-%m-%d')}, torch {torch.__version__},"
        f" {torch.get_num_threads()} threads",
        device="cuda" if device.startswith("cuda") else "cpu",
        cores=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        device_memory=torch.cuda.get_device_properties(device).total_memory if device != "cpu" else None,
        matmul={
            str(dtype).removeprefix("torch."): matmul(dtype, device)
            for dtype in DTYPES[device[:4].rstrip(":")]
        },
        algebra=algebra(device),
        elementwise=elementwise(device),
        host_elementwise=elementwise("cpu"),
        hash=hashing(),
        read=read,
        read_cached=cached,
        write=write,
        load=loading,
        overhead=overhead(device),
        **starts(),
    )


def typical(run: Callable[[], object], times: int = 3, device: str = "cpu") -> float:
    """Median seconds of so many runs in a row, after others, one at least, that are not counted."""

    def once() -> float:
        start = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    warming = once()
    while warming < LONG_ENOUGH:
        warming += once()
    return statistics.median(once() for _ in range(times))


def matmul(dtype: torch.dtype, device: str, tokens: Iterable[int] = TOKENS) -> dict[int, float]:
    """Operations a second of a decoder layer's linear maps, by tokens."""
    weights = [torch.randn(shape, device=device).to(dtype) for shape in LINEAR]
    work = 2 * sum(map(math.prod, LINEAR))
    seconds: dict[int, float] = dict.fromkeys(tokens, 0.0)
    for _ in range(SWEEPS):
        for count in seconds:
            inputs = [torch.randn(count, weight.shape[1], device=device).to(dtype) for weight in weights]
            run = partial(_through, weights, inputs)
            seconds[count] += typical(run, 2 if count > 64 else 5, device) / SWEEPS
    return {count: count * work / taken for count, taken in seconds.items()}


def _through(weights: list[torch.Tensor], inputs: list[torch.Tensor]) -> None:
    for x, weight in zip(inputs, weights, strict=True):
        torch.nn.functional.linear(x, weight)


def algebra(device: str) -> dict[Algebra, dict[int, float]]:
    """Operations a second of products and of the routines that solvers are made of, by columns."""
    found: dict[Algebra, dict[int, float]] = {"product": {}}
    tall = torch.randn(TALL, device=device)
    for side in SIDES:
        columns = sketch_width(side, 2 * side)  # as the randomised solver has them
        thin = torch.randn(TALL[1], columns, device=device)
        seconds = typical(partial(torch.matmul, tall, thin), 2, device)
        found["product"][columns] = 2 * tall.numel() * columns / seconds
    for kind, (aspect, dtype, routine) in ROUTINES.items():
        for side in SIDES:
            sample = torch.randn(aspect * side, side, dtype=dtype, device=device)
            seconds = typical(partial(routine, sample), 1, device)
            found.setdefault(kind, {})[side] = factorisation_work(kind, aspect * side, side) / seconds
    return found


def elementwise(device: str) -> float:
    """Bytes a second through widening, subtracting and copying, as a task vector is made."""
    one, other = (torch.randn(1 << 25, device=device).bfloat16() for _ in range(2))
    seconds = typical(lambda: one.float() - other.float(), device=device)
    return (2 * 2 + 2 * 4 + 3 * 4) * one.numel() / seconds


def hashing() -> float:
    """Bytes a second through sha256 on one core."""
    block = bytes(1 << 27)
    return len(block) / typical(lambda: sha256(block).digest(), 2)


def disk(path: Path) -> tuple[float, float, float]:
    """Bytes a second written until they are on the disk, read from there, and read from memory."""
    block = memoryview(os.urandom(1 << 24))

    def down() -> None:
        with path.open("wb", buffering=0) as written:
            for _ in range(FILE // len(block)):
                written.write(block)
        synchronise(path)

    write = typical(down)
    with path.open("rb") as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    into = bytearray(1 << 24)

    def through() -> None:
        with path.open("rb", buffering=0) as stream:
            while stream.readinto(into):
                pass

    start = time.perf_counter()
    through()
    cold = time.perf_counter() - start
    return FILE / write, FILE / cold, FILE / typical(through)


def load(folder: Path, device: str) -> float:
    """Stored bytes a second from a bf16 checkpoint to a model: fp32 on the CPU, bf16 on a GPU."""
    import transformers

    transformers.logging.disable_progress_bar()
    config = transformers.Qwen2Config(**LOADED)
    with torch.device("meta"):
        empty = transformers.Qwen2ForCausalLM(config).to(torch.bfloat16)
    model = empty.to_empty(device="cpu")
    for parameter in model.parameters():
        parameter.data.fill_(0.5)
    model.tie_weights()
    model.save_pretrained(folder)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    dtype = torch.float32 if device == "cpu" else torch.bfloat16

    def run() -> object:
        return transformers.Qwen2ForCausalLM.from_pretrained(folder, dtype=dtype).to(device)

    return size / typical(run, 2, device)


def overhead(device: str) -> float:
    """Seconds of a decoder layer's pass over one token when there is next to nothing to compute."""
    import transformers

    layers = 4
    config = transformers.Qwen2Config(
        hidden_size=64, intermediate_size=64, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=64,
    )  # fmt: skip
    model = transformers.Qwen2Model(config).to(device).eval()
    ids = torch.zeros(1, 1, dtype=torch.long, device=device)
    with torch.no_grad():
        return typical(lambda: model(ids, use_cache=False), 5, device) / layers


def starts() -> dict[str, float]:
    """Seconds until imports are done and what they hold in memory: without torch, with it, and with a model's
    classes (of these, the further seconds)."""
    held = {name: float(_python(code + _PRIVATE)) for name, code in _IMPORTS.items()}
    seconds = {name: typical(partial(_python, code), 1) for name, code in _IMPORTS.items()}
    return {
        "start_plain": seconds["plain"],
        "start": seconds["torch"],
        "start_model": max(seconds["model"] - seconds["torch"], 0.0),
        "process_plain": held["plain"],
        "process": held["torch"],
        "process_model": held["model"],
    }


def _python(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def title(device: str) -> str:
    """Processor or GPU in words."""
    if device != "cpu":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{named[0] if named else platform.machine()}, {len(os.sched_getaffinity(0))} cores"
