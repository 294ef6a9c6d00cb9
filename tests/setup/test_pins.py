"""The pins: complete, installed, and the same in every file that names them."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
NODEPS = ROOT / "requirements-nodeps.txt"


def requirements(path: Path) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def pinned(found: list[Requirement]) -> dict[str, str]:
    """Name to `version` or `version ; marker`; fails on anything that is not one exact pin."""
    pins = {}
    for requirement in found:
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{requirement} is no pin"
        name = canonicalize_name(requirement.name)
        assert name not in pins, f"{name} is pinned twice"
        pins[name] = specifier.version + (f" ; {requirement.marker}" if requirement.marker else "")
    return pins


PINS = pinned(requirements(ROOT / "requirements.txt"))
ALL = PINS | pinned(requirements(NODEPS))
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_conda_has_the_same_pins():
    (pip,) = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    assert pinned([Requirement(line) for line in pip]) == PINS


def test_conda_asks_for_the_same_python():
    assert "python=3.11" in CONDA["dependencies"]
    assert PROJECT["requires-python"] == ">=3.11,<3.12"


def test_conda_installs_the_rest_afterwards():
    command = (ROOT / "environment.post-deploy.sh").read_text()
    assert "--no-deps" in command
    assert pinned([Requirement(p) for p in re.findall(r"\S+==\S+", command)]) == pinned(requirements(NODEPS))


@pytest.mark.parametrize(
    "requirement", [*requirements(ROOT / "requirements.txt"), *requirements(NODEPS)], ids=str
)
def test_the_environment_has_the_pin(requirement):
    if requirement.marker and not requirement.marker.evaluate():
        pytest.skip("not for this machine")
    assert version(requirement.name) in requirement.specifier


def test_nothing_that_a_pin_asks_for_is_left_to_chance():
    loose = set()
    for name in PINS:
        try:
            asked = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        for requirement in map(Requirement, asked):
            needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if needed and canonicalize_name(requirement.name) not in PINS:
                loose.add(f"{requirement.name} (asked for by {name})")
    assert not loose


@pytest.mark.parametrize(
    "requirement",
    [Requirement(r) for r in PROJECT["dependencies"]]
    + [Requirement(r) for extra in PROJECT["optional-dependencies"].values() for r in extra],
    ids=str,
)
def test_pyproject_allows_the_pin(requirement):
    if requirement.name == PROJECT["name"]:
        assert requirement.extras < set(PROJECT["optional-dependencies"])
        return
    pin = ALL[canonicalize_name(requirement.name)].partition(" ")[0]
    assert pin in requirement.specifier
