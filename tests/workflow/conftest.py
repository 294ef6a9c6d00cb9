"""A copy of the project with a small study, in which tests edit files and run Snakemake."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.forked_command import run_forked

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "environment.yml", "workflow", "profiles", "frism", "baselines", "benchmarks", "config")
CONFIG = "config/tiny.yaml"
PLANNING = {"-n", "--summary", "--touch"}  # with these no job runs


class Project:
    """The copy's folder, and what Snakemake says in it."""

    patience = 900.0  # seconds

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds = 0.0  # how long the study took, once it ran

    def command(self, *options: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", *options, "--configfile", CONFIG]

    def environment(self) -> dict[str, str]:
        """The jobs' `python` is the one that runs the tests."""
        return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake; its messages are in `stdout`, with those of its jobs."""
        if not PLANNING.isdisjoint(options) and type(self) is Project:
            return self._plan(*options)
        return subprocess.run(
            self.command(*options),
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=self.patience,
        )

    def _plan(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake where it only plans: without the imports of a new process."""
        command, output = self.command(*options), self.folder.with_name(f"{self.folder.name}.plan.txt")
        code = run_forked(command[2:], self.folder, self.environment(), output, self.patience)
        return subprocess.CompletedProcess(command, code, output.read_text())

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the tests' Python in the project's folder."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment() | {"PYTHONPATH": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )

    def plan(self, *options: str) -> list[str]:
        """The messages of the jobs that Snakemake would run."""
        run = self.run("-n", *options)
        assert run.returncode == 0, run.stdout
        assert "missing provenance" not in run.stdout
        return sorted(re.findall(r"^Job \d+: (.*)$", run.stdout, re.MULTILINE))

    def error(self, *options: str) -> str:
        """The one sentence that a run fails with."""
        run = self.run(*options)
        assert run.returncode != 0, run.stdout
        assert "Traceback" not in run.stdout, run.stdout
        sentences = {line for line in run.stdout.splitlines() if line.strip().startswith("error: ")}
        assert len(sentences) == 1, run.stdout
        return sentences.pop()

    def configure(self, **changes: Any) -> None:
        path = self.folder / CONFIG
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def copy(self, folder: Path) -> "Project":
        return Project(shutil.copytree(self.folder, folder, symlinks=True))


@pytest.fixture(scope="session")
def new_project(triple_folders: dict[str, Path]) -> Callable[..., Project]:
    """A function that copies the project into a folder, with the untrained triple and a small study.

    Keywords replace keys of the shipped config.
    """

    def make(folder: Path, **changes: Any) -> Project:
        for name in PARTS:
            if (ROOT / name).is_file():
                shutil.copy(ROOT / name, folder)
            else:
                skipped = shutil.ignore_patterns("weights", "*.pyc.*")  # what others are compiling just now
                shutil.copytree(ROOT / name, folder / name, ignore=skipped)
        shutil.copytree(triple_folders["base"].parent, folder / "weights")
        config = yaml.safe_load((ROOT / "config/miniature.yaml").read_text())
        config |= {"study": "tiny", "triple": {role: f"weights/{role}" for role in triple_folders}}
        (folder / CONFIG).write_text(yaml.safe_dump(config | changes, sort_keys=False))
        return Project(folder)

    return make
