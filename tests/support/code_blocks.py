"""Fenced code blocks of Markdown pages, and a copy of the project in which they run.

A block states its language; `title="baselines/half_way.py"` names the file it shows. A comment on
the line above, `<!-- not run: REASON -->`, marks a block whose commands need what a test does not have.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.support.forked_command import can_fork, run_forked

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "Makefile", "environment.yml", "requirements.txt", "requirements-nodeps.txt",
         "pyproject.toml", "workflow", "profiles", "frism", "baselines", "benchmarks", "config")  # fmt: skip
WEIGHTS = "benchmarks/miniature/weights"
ROLES = {"BASE": "base", "VLM": "vlm", "LRM": "lrm"}
ROLE = re.compile(r"(?<![^*])(BASE|VLM|LRM)$")  # a word, or what follows a donor's weight
FENCE = re.compile(r'^( *)```(\w*)(?: +title="([^"]+)")? *$')
NOT_RUN = re.compile(r"^ *<!-- not run: (.+) -->$")


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is that of its opening fence."""

    page: Path
    line: int
    language: str
    title: str | None
    not_run: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def read_blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order. Raises ValueError for a fence that is not understood."""
    blocks: list[Block] = []
    lines = page.read_text().splitlines()
    number = 0
    while number < len(lines):
        line, above = lines[number], lines[number - 1] if number else ""
        if not (opening := FENCE.match(line)):
            if line.lstrip().startswith("```"):
                raise ValueError(f"{page}:{number + 1}: this fence has a form of its own")
            number += 1
            continue
        indent, language, title = opening.groups()
        end = next(i for i in range(number + 1, len(lines)) if lines[i].strip() == "```")
        text = "".join(f"{inner.removeprefix(indent)}\n" for inner in lines[number + 1 : end])
        mark = NOT_RUN.match(above)
        blocks.append(Block(page, number + 1, language, title, mark and mark[1], text))
        number = end + 1
    return blocks


def commands(text: str) -> list[list[str]]:
    """Return the commands of a bash block as words; comments and continuation lines are taken out."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def copy_project(folder: Path) -> None:
    """Copy what a user works with into a folder; the weights of the miniature and its results are linked."""
    for name in PARTS:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, target)
        else:
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("weights", "*.pyc.*"))
    (folder / WEIGHTS).symlink_to(ROOT / WEIGHTS)
    (folder / "results").mkdir()
    (folder / "results/reference").symlink_to(ROOT / "results/reference")
    about = folder / "frism-0.dist-info"  # what pip would write: an installation may be older
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: frism\nVersion: 0\n")
    lines = [f"{name} = {value}\n" for name, value in added_commands().items()]
    (about / "entry_points.txt").write_text("[frism.commands]\n" + "".join(lines))


def added_commands() -> dict[str, str]:
    """Return the commands of `frism` that live in other packages, and their functions, as "module:name"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["entry-points"]["frism.commands"]


def cheap(words: list[str]) -> list[str]:
    """Return a command that does the same to less: on the miniature, and dry where it takes minutes."""
    words = [ROLE.sub(lambda role: f"{WEIGHTS}/{ROLES[role[1]]}", word) for word in words]
    if words[0] == "snakemake" and "--cores" in words:
        at = words.index("--cores")
        words = words[:at] + words[at + 2 :]
    if words[0] in ("make", "snakemake") and "-n" not in words:
        return [words[0], "-n", *words[1:]]
    return words


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a copy of the project, whose code it imports."""
    search = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": search, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    if can_fork(words):
        output = folder.with_name(f"{folder.name}.output.txt")
        code = run_forked(words, folder, environment, output, seconds=300)
        return subprocess.CompletedProcess(words, code, output.read_text())
    return subprocess.run(
        words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=300,
    )  # fmt: skip
