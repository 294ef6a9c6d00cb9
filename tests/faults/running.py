"""A small study that is disturbed while it runs, and what must hold of its files whatever happens to it."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.workflow.conftest import Project

STUDY = {
    "engine": {"name": "transformers", "max_new_tokens": 6, "batch_size": 4},
    "spectrum": {"rank": 8},
    "calibration": {"source": "miniature", "questions": 8},
    "benchmarks": ["mini_number", "mini_total"],
    "text": [],
    "questions": {"dev": 4, "test": 8},
    "statistics": {"resamples": 100},
    "variants": {
        "vlm": {"method": "vlm"},
        "inject": {"method": "inject", "grid": {"strength": [0.5, 1.0]}},
        "frism": {"method": "frism", "params": {"steps": 6, "batch": 2, "max_new_tokens": 3, "lr": 0.5}},
    },
}
RESULTS = Path("results/tiny")
GOALS = [f"{RESULTS}/scores/{variant}.csv" for variant in STUDY["variants"]]
# Files whose every byte is decided by config, weights and code: if one has its name, it has this content.
DECIDED = ("scores/*.csv", "variants/*/recipe.json", "variants/*/choice.json", "variants/*/dev.csv",
           "variants/*/norms.csv", "variants/*/coefficients.safetensors", "items/manifest.json",
           "spectra/*/*.safetensors")  # fmt: skip
# How Snakemake and Slurm tell that a job was ended, which is no sentence of ours and needs none.
ENDED = re.compile(
    r"Killed|Terminated|CANCELLED|Error in (rule|group)|exit(ed with)? (code|status)|SLURM status is"
    r"|Failed to create output directory"
)
LONGEST = 1800.0  # seconds until a run that does not end counts as hanging


class WrongResultError(AssertionError):
    """A file under its final name that is not what an undisturbed study writes."""


def read_decided(results: Path) -> dict[str, bytes]:
    """What is decided and there, by name; quality measures of spectra are times and left out."""
    found = {}
    for pattern in DECIDED:
        for path in results.glob(pattern):
            if "cost" in path.name or path.name.startswith("."):  # no final name
                continue
            content = path.read_bytes()
            if path.suffix == ".safetensors" and "spectra" in path.parts:
                content = content[
                    8 + int.from_bytes(content[:8], "little") :
                ]  # the header says how long it took
            found[path.relative_to(results).as_posix()] = content
    return found


@dataclass
class Running:
    """A study in a folder of its own.

    Attributes:
        project: how Snakemake is started.
        expected: what an undisturbed run leaves, by file.
        rng: of the moments at which things happen.
        said: what every run said, the newest last.
        interruptions: how often it was disturbed.
        hurt: whether some processes were killed, whose temporary files stay behind.
    """

    project: Project
    expected: dict[str, bytes]
    rng: random.Random
    said: list[str] = field(default_factory=list)
    interruptions: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self.project.folder

    @property
    def results(self) -> Path:
        return self.folder / RESULTS

    # --- running ---

    def start(self, *options: str, prefix: tuple[str, ...] = (), **environment: str) -> None:
        """Begin a run; `prefix` is put before the command."""
        log = self.folder / f"run{len(self.said)}.txt"
        self.said.append("")
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [*prefix, *self.project.command(*GOALS, *options)], cwd=self.folder, stdout=stream,
                stderr=subprocess.STDOUT, env=self.project.environment() | environment,
                start_new_session=True,
            )  # fmt: skip

    def wait(self) -> int:
        """Wait for the run to end; return its exit code, and keep what it said."""
        assert self.process is not None
        code = self.process.wait(LONGEST)
        self.said[-1] = (self.folder / f"run{len(self.said) - 1}.txt").read_text(errors="replace")
        return code

    def run(self, *options: str, **how: str) -> int:
        """Run to the end."""
        self.start(*options, **how)
        return self.wait()

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    # --- processes ---

    def list_processes(self) -> list[psutil.Process]:
        """Everything that works in the study's folder, whoever started it."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd() == str(self.folder.resolve()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def list_workers(self) -> list[psutil.Process]:
        """The processes that compute: stages, and the decomposition."""
        found = []
        for process in self.list_processes():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            if "-m" in words[:3] and any(w.startswith(("benchmarks.stages", "frism")) for w in words[:4]):
                found.append(process)
        return found

    def wait_until(self, probe: Callable[[], object], seconds: float = 300) -> bool:
        """Wait for something as long as the run goes on; return whether it came."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.is_running:
            if probe():
                return True
            time.sleep(0.05)
        return False

    def wait_a_while(self, most: float) -> None:
        """Let the run go on for a random time."""
        end = time.monotonic() + self.rng.uniform(0, most)
        self.wait_until(lambda: time.monotonic() >= end, most)

    def kill_workers(self) -> int:
        """SIGKILL everything that computes; return how many."""
        workers = self.list_workers()
        for worker in workers:
            _kill(worker)
        return len(workers)

    def kill_snakemake(self) -> None:
        """SIGKILL Snakemake alone; what it started lives on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def kill_everything(self) -> None:
        """SIGKILL all at once, as when the power goes (but for the disk's cache)."""
        for process in self.list_processes():
            _kill(process)
        assert self.process is not None
        self.process.wait()

    # --- what must hold ---

    def check(self) -> None:
        """Raise WrongResultError for a file that has its final name and not its final content."""
        for name, content in self._read_decided().items():
            if name not in self.expected:
                raise WrongResultError(f"{self.results / name} is no file of the undisturbed study")
            if content != self.expected[name]:
                raise WrongResultError(f"{self.results / name} is not what the undisturbed study wrote")

    def finish(self, runs: int = 4) -> None:
        """Run until the study is complete, and compare it with the undisturbed one.

        Every run that fails must say why in one sentence or tell of a job that was ended. Raises
        AssertionError for a study that is still not complete, or is not equal.
        """
        for _ in range(runs):
            code = self.run()
            self.check()
            if code == 0:
                break
            self.check_said()
        else:
            raise AssertionError(f"not complete after {runs} runs: {self.said[-1][-2000:]}")
        assert self._read_decided() == self.expected

    def _read_decided(self) -> dict[str, bytes]:
        """Read what is decided, but for spectra of other weights, which have keys of their own."""
        keys = {Path(name).parent for name in self.expected}
        found = read_decided(self.results)
        return {n: c for n, c in found.items() if not n.startswith("spectra/") or Path(n).parent in keys}

    def check_said(self) -> None:
        """Raise AssertionError when a run ended without a sentence, or with a traceback of Python."""
        said = self.said[-1]
        sentences = {line.strip() for line in said.splitlines() if line.strip().startswith("error: ")}
        assert "Traceback (most recent call last)" not in said, said[-3000:]
        assert sentences or ENDED.search(said), said[-3000:]

    @property
    def sentence(self) -> str:
        """The sentence of ours that the newest run that failed said; "" for none."""
        for said in reversed(self.said):
            for line in said.splitlines():
                if line.strip().startswith("error: "):
                    return line.strip().removeprefix("error: ")
        return ""


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Callable[[str], None]]:
    """Mount a file system of so many kilobytes in `folder`; yields what mounts it anew with other options."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder], check=True)

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)

    try:
        yield remount
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def may_mount(folder: Path) -> bool:
    """Whether this process may mount file systems."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        return False
    probe = folder / "probe"
    probe.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", probe], capture_output=True)
    if mounted.returncode == 0:
        subprocess.run(["umount", probe], check=True)
    return mounted.returncode == 0
