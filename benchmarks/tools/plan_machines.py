"""Name the few rates of a machine that a plan divides by: from a data sheet, or measured here in seconds."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frism.cache import cache_folder
from frism.errors import UserError, suggest
from frism.files import atomic_write, read_json

FILE = Path(__file__).with_name("plan_machines.yaml")
THIS = "this"
SIDE, COPY_BYTES, READ_BYTES = (
    2048,
    1 << 28,
    1 << 28,
)  # of a trial's square product; bytes of the copy and of the file
IMPORTS = "import torch, frism.method.method; from transformers import Qwen2_5_VLForConditionalGeneration"


class Machine(BaseModel):
    """Describes one kind of machine: rates per second, sizes in bytes; plan_machines.yaml says which."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    source: str
    device: Literal["cpu", "cuda"]
    memory: float = Field(gt=0)
    flops: dict[str, float]
    bandwidth: float = Field(gt=0)
    link: float | None = Field(None, gt=0)
    disk: float = Field(gt=0)
    sustained: float = Field(gt=0, le=1)
    layer: float = Field(ge=0)
    start: float = Field(ge=0)

    def rate(self, dtype: str) -> float:
        """Return the floating point operations a second that are taken to be reached.

        Raises UserError for a dtype that the machine has no rate for.
        """
        if dtype not in self.flops:
            raise UserError(
                f"machine {self.title} has no rate for {dtype} (it has: {', '.join(self.flops)}): set"
                " engine.dtype to one of them."
            )
        return self.sustained * self.flops[dtype]


def load_data_sheets() -> dict[str, Machine]:
    """Return the machines of plan_machines.yaml, by name."""
    table = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {name: Machine(**content) for name, content in table.items()}


def find_machine(name: str) -> Machine:
    """Return a machine by name: one saved here, `this` (measured if it was not yet), or a data sheet.

    Raises UserError for an unknown name.
    """
    known = load_data_sheets()
    if (saved := _load_saved(name)) is not None:
        return saved
    if name == THIS:
        return save_machine(THIS, measure_machine())
    if name not in known:
        names = sorted({THIS, *known, *(path.stem for path in _get_folder().glob("*.json"))})
        raise UserError(
            f"unknown machine '{name}' (known: {', '.join(names)}): measure it there with --measure {name}."
            f"{suggest(name, names)}"
        )
    return known[name]


def save_machine(name: str, machine: Machine) -> Machine:
    """Save a measured machine under a name in the cache folder, where that can be written, and return it."""
    with suppress(UserError), atomic_write(_get_folder() / f"{name}.json") as temporary:
        temporary.write_text(machine.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return machine


def _load_saved(name: str) -> Machine | None:
    path = _get_folder() / f"{name}.json"
    try:
        return Machine(**read_json(path)) if path.is_file() else None
    except (UserError, ValidationError):  # cut short, or of another version: measured again
        return None


def _get_folder() -> Path:
    return cache_folder() / "machines"


def measure_machine() -> Machine:
    """Measure this machine: products, a copy, a layer without work, a file, an import. Takes some seconds.

    On a CPU one core is measured, which is what a job of the workflow gets.
    """
    import torch

    device: Literal["cpu", "cuda"] = "cuda" if torch.cuda.is_available() else "cpu"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        dtypes = ["float32", "bfloat16"]
        if device == "cuda":
            properties = torch.cuda.get_device_properties(0)
            title, memory, dtypes = properties.name, properties.total_memory, [*dtypes, "float16"]
        else:
            title = "this machine, one core"
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return Machine(
            title=title,
            source=f"measured on {time.strftime('%Y-%m-%d')} with torch {torch.__version__}",
            device=device,
            memory=memory,
            flops={dtype: _measure_product(dtype, device) for dtype in dtypes},
            bandwidth=_measure_copy(device),
            link=_measure_link() if device == "cuda" else None,
            disk=_measure_file(),
            sustained=1.0,
            layer=_measure_layer(device),
            start=_measure_start(),
        )
    finally:
        torch.set_num_threads(threads)


def _time_fastest(run: Callable[[], object], times: int = 3) -> float:
    """Return the fastest run's seconds, after one that does not count: others may use the machine, too.

    On a CPU these are processor seconds, which do not grow with what others do.
    """
    import torch

    on_gpu = torch.cuda.is_available()
    clock, seconds = time.perf_counter if on_gpu else time.process_time, []
    for _ in range(times + 1):
        start = clock()
        run()
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(clock() - start)
    return min(seconds[1:])


def _measure_product(dtype: str, device: str) -> float:
    import torch

    left, right = (torch.randn(SIDE, SIDE, device=device).to(getattr(torch, dtype)) for _ in range(2))
    return 2 * SIDE**3 / _time_fastest(lambda: left @ right)


def _measure_copy(device: str) -> float:
    import torch

    block = torch.zeros(COPY_BYTES, dtype=torch.uint8, device=device)
    other = torch.ones_like(block)
    return 2 * COPY_BYTES / _time_fastest(lambda: other.copy_(block))  # read and written


def _measure_link() -> float:
    import torch

    block = torch.zeros(COPY_BYTES, dtype=torch.uint8).pin_memory()
    return COPY_BYTES / _time_fastest(lambda: block.to("cuda"))


def _measure_file() -> float:
    """Measure bytes a second out of a file just written, where the system lets it be forgotten first."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(os.urandom(READ_BYTES))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.perf_counter()
        with Path(file.name).open("rb", buffering=0) as stream:
            while stream.read(1 << 24):
                pass
        return READ_BYTES / (time.perf_counter() - start)


def _measure_layer(device: str) -> float:
    """Measure a decoder layer's seconds over one token when there is next to nothing to compute."""
    import torch
    from transformers import Qwen2Config, Qwen2Model

    config = Qwen2Config(
        hidden_size=64, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=64,
    )  # fmt: skip
    model, ids = Qwen2Model(config).to(device).eval(), torch.zeros(1, 1, dtype=torch.long, device=device)
    with torch.no_grad():
        return _time_fastest(lambda: model(ids, use_cache=False), 10) / 4


def _measure_start() -> float:
    """Measure the processor seconds of another Python's imports."""
    before = os.times()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
