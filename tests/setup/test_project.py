"""What a newcomer touches: packaging, commands, the committed files."""

import re
import shutil
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from setuptools import find_packages

import frism

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# Written in two parts, so that this file does not contain what it looks for.
FORBIDDEN = [
    "pypi" + r"\.(org|io)", "python" + r"hosted\.", "index" + "-url", "find" + "-links",
    r"(?<![\w.])/" + r"(work|root|opt|home/\w+)/",
]  # fmt: skip


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_every_package_is_declared():
    found = find_packages(str(ROOT), **PYPROJECT["tool"]["setuptools"]["packages"]["find"])
    with_code = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("frism", "baselines", "benchmarks")
        for path in (ROOT / top).rglob("*.py")
    }
    assert set(found) == with_code


def test_data_beside_the_code_is_declared():
    suffixes = {pattern.removeprefix("*") for pattern in PYPROJECT["tool"]["setuptools"]["package-data"]["*"]}
    for top in ("frism", "baselines", "benchmarks"):
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and not {"weights", "__pycache__"} & set(path.parts):
                assert path.suffix in {".py", ".md"} | suffixes, f"{path} would be missing from a wheel"


def test_the_console_script_is_there():
    module, function = PYPROJECT["project"]["scripts"]["frism"].split(":")
    assert callable(getattr(import_module(module), function))


def test_one_version_everywhere():
    version = PYPROJECT["project"]["version"]
    assert frism.__version__ == version
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    "target",
    [
        "help",
        "run",
        "test",
        "slow",
        "test-slurm",
        "parity",
        "lint",
        "docs",
        "check",
        "audit",
        "models",
        "install",
        "clean",
    ],
)
def test_make_knows(target):
    shown = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^{target} ", listed, re.MULTILINE)


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ("python3.99", "error: no python3.99 found: install Python 3.11"),
        ("/bin/false", "error: /bin/false is not Python 3.11"),
    ],
)
def test_make_says_which_python_it_needs(python, sentence, tmp_path):
    for name in ("Makefile", "requirements.txt", "requirements-nodeps.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    run = subprocess.run(["make", "run", f"PYTHON={python}"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode != 0
    assert sentence in run.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("slurm", [True, False])
@pytest.mark.parametrize("failing", ["", "lint", "docs", "test", "test-slurm"])
def test_ci_runs_the_checks_the_docs_and_the_tests(failing, slurm, tmp_path):
    """With a `make` that notes its targets: all run, and a failure of one is the run's own.

    Without Slurm, and without a way to install it, that is said and nothing fails.
    """
    for name in ("slurmctld", "slurmd", "munged", "id") if slurm else ("id",):
        (tmp_path / name).write_text("#!/bin/sh\necho 1000\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "make").write_text(f'#!/bin/sh\necho "$1" >> "{tmp_path}/targets"\n[ "$1" != "{failing}" ]\n')
    (tmp_path / "chromium").write_text("#!/bin/sh\n")  # found: nothing is installed
    for name in ("make", "chromium"):
        (tmp_path / name).chmod(0o755)
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name))
    # Only what is here: whether this machine has Slurm is of no account.
    run = subprocess.run(
        ["bash", ROOT / ".ci/run"], env={"PATH": str(tmp_path), "SBIN": ""},
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    every = ["lint", "docs", "test", *(["test-slurm"] if slurm else [])]
    failing = failing if failing in every else ""
    assert (run.returncode == 0) == (not failing)
    targets = (tmp_path / "targets").read_text().split()
    assert ("`make test-slurm` was NOT run" in run.stderr) == (not slurm and not failing)
    assert targets == every[: every.index(failing) + 1 if failing else None]


def test_the_code_host_runs_the_same():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    (steps,) = [job["steps"] for job in jobs.values()]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    assert any(step.get("with", {}).get("python-version") == "3.11" for step in steps)


def test_no_file_names_a_machine_or_an_index():
    for path in tracked():
        if path.suffix in {".safetensors", ".png", ".zip"}:
            continue
        text = path.read_text(encoding="utf-8")
        for pattern in FORBIDDEN:
            found = re.search(pattern, text)
            assert not found, f"{path.relative_to(ROOT)} names {found[0]}"
