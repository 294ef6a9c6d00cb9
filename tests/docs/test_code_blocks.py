"""Every code block of the README and the documentation does what the page says, on the miniature.

Python blocks are executed, files that a block shows are written, bash blocks run command by command in a copy
of the project (dry where the real command takes minutes), YAML blocks pass the checks of a study. Blocks of a
page share a folder, from top to bottom. What needs a network, a GPU or a finished study is marked `not run`,
parsed by the real command, and counted here.
"""

import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
import typer
import yaml

import baselines
from benchmarks.registry.definition import Definition
from benchmarks.stages import answers_table, tables
from benchmarks.study.config import StudyConfig
from benchmarks.study.extends import resolve_extends
from frism.__main__ import app
from tests.support import synthetic_study
from tests.support.code_blocks import (
    ROOT,
    Block,
    added_commands,
    cheap,
    commands,
    copy_project,
    read_blocks,
    run,
)
from workflow.config import load

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md",
         *sorted((ROOT / "docs").rglob("*.md"))]  # fmt: skip
BLOCKS = [block for page in PAGES for block in read_blocks(page)]
NOT_RUN = {
    "needs a download": 2,
    "needs the published checkpoints": 2,
    "needs a finished study": 8,
    "needs a reviewer's marks": 1,
    "needs an adapter": 1,
    "needs a cluster": 1,
    "needs a Kubernetes cluster": 1,
}
DONE: set[tuple[str, ...]] = set()  # changes of the project's copy, then a command
PROGRAMS = ("frism", "make", "snakemake", "python", "cp", "cat")


def test_every_block_says_what_it_is() -> None:
    """Only `text` is left alone, and no command hides in it."""
    for block in BLOCKS:
        assert block.language in {"bash", "python", "yaml", "text"}, f"{block}: what is ```{block.language}?"
        if block.language == "text":
            command = re.search(rf"^ *({'|'.join(PROGRAMS)}|hf|git) \S", block.text, re.MULTILINE)
            assert not command, f"{block} is a command"


def test_what_is_not_run_is_counted() -> None:
    assert Counter(block.not_run for block in BLOCKS if block.not_run) == NOT_RUN


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.not_run], ids=str)
def test_what_is_not_run_is_a_command_all_the_same(block: Block) -> None:
    """Its options exist and their values have the right types."""
    assert block.language == "bash"
    for words in commands(block.text):
        parse(words)


def parse(words: list[str]) -> None:
    """Let the program's own parser read a command. Raises what it raises for a wrong one."""
    match words:
        case ["frism", name, *options] if name in (added := added_commands()):
            parse(["python", "-m", added[name].removesuffix(":main"), *options])
        case ["frism", *options]:
            group = typer.main.get_command(app)
            name, command, rest = group.resolve_command(group.make_context("frism", options), options)
            command.make_context(name, rest)
        case ["python", "-m", module, *options]:
            tool = typer.Typer()
            tool.command()(import_module(module).main)
            typer.main.get_command(tool).make_context(module, options)
        case ["hf", "download", *_] | ["snakemake", *_]:
            pass
        case _:
            raise AssertionError(f"{words[0]} is not known here")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a small finished study, made up: answers, tables, flips."""
    whole = synthetic_study.config(benchmarks=["mini_color", "mini_total"], text=["mini_total"])
    whole["statistics"] = {"confidence": 0.95, "resamples": 100}
    whole["variants"] = {name: whole["variants"][name] for name in ("vlm", "inject", "frism")}
    folder = synthetic_study.make(tmp_path_factory.mktemp("results"), whole, n=200, n_dev=20)
    miniature = yaml.safe_load((ROOT / "config/miniature.yaml").read_text())
    study = StudyConfig.make(miniature | whole, "the made-up study")
    tables.build(folder, study, folder / "tables")
    answers_table.write_answers(folder, study, folder)
    return folder


@pytest.mark.parametrize("page", [p for p in PAGES if read_blocks(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_blocks_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    blocks = [block for block in read_blocks(page) if not block.not_run]
    copy_project(tmp_path)
    if any("results/miniature/" in block.text for block in blocks):
        (tmp_path / "results/miniature").symlink_to(request.getfixturevalue("finished"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(baselines, "__path__", [str(tmp_path / "baselines")])  # methods that the page adds
    names: dict[str, object] = {"__name__": "__main__"}
    changes: list[str] = []
    for block in blocks:
        if block.title:
            (tmp_path / block.title).write_text(block.text)
            changes.append(block.text)
        if block.language == "bash":
            run_commands(block, tmp_path, changes)
        elif block.language == "python" and not block.title:
            exec(compile(block.text, str(block), "exec"), names)
        elif block.language == "yaml":
            check_yaml(block, tmp_path)
            changes.append(block.text)


def run_commands(block: Block, folder: Path, changes: list[str]) -> None:
    """Run the commands of a block; one that ran before, on a copy with the same changes, is not repeated."""
    for words in map(cheap, commands(block.text)):
        assert words[0] in PROGRAMS, f"{block}: {words[0]} is not known here"
        if (*changes, *words) not in DONE:
            result = run(words, folder)
            assert result.returncode == 0, f"{block}: {' '.join(words)}\n{result.stdout}"
            DONE.add((*changes, *words))


def check_yaml(block: Block, folder: Path) -> None:
    """A definition is one, a file is a config; part of a config goes into the page's study and is checked."""
    content = yaml.safe_load(block.text)
    if "dataset" in content:
        Definition(name="shown", **content)
        return
    config = folder / "config/miniature.yaml"
    study = yaml.safe_load(config.read_text())
    if block.title:  # with checkpoints that are there
        study = content | {"triple": study["triple"]}
    elif content.keys() <= StudyConfig.model_fields.keys():
        study |= content | {"benchmarks": study["benchmarks"] + content.get("benchmarks", [])}
    else:
        study["variants"] |= content
    touch_tables(resolve_extends(study, config.parent), folder / "data")
    load(study, str(block), config.parent)
    if not block.title:
        config.write_text(yaml.safe_dump(study, sort_keys=False))


def touch_tables(study: dict, data: Path) -> None:
    """Make the tables of a study's published benchmarks, empty."""
    data.mkdir(exist_ok=True)
    for entry in study["benchmarks"]:
        (data / f"{entry if isinstance(entry, str) else entry['name']}.tsv").touch()
