"""Every file in benchmarks/analyses keeps the contract: documented, planned, undone to the bit."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.analyses.measuring import discovery
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.analyses.measuring.intervention import INTACT
from benchmarks.analyses.measuring.module_means import measure_means
from benchmarks.answering.transformers_engine import TransformersEngine
from frism.errors import UserError
from frism.method.recipe import Recipe
from frism.triples.triple import Triple

NAMES = discovery.list_names()
INTERVENING = [name for name in NAMES if discovery.find(name).intervene is not None]
every_analysis = pytest.mark.parametrize("name", NAMES)


@every_analysis
def test_an_analysis_is_a_short_file_that_says_whose_it_is_and_what_its_parameters_are(name: str) -> None:
    analysis = discovery.find(name)
    doc, file = sys.modules[analysis.module].__doc__ or "", Path(sys.modules[analysis.module].__file__ or "")
    assert analysis.label and len(file.read_text().splitlines()) <= 150
    assert "of this project" in " ".join(doc.lower().split()) or "Deviation" in doc
    assert all(f"`{parameter}`" in doc for parameter in analysis.signature.parameters)


@every_analysis
def test_defaults_and_every_choice_are_planned(name: str) -> None:
    analysis = discovery.find(name)
    assert len(analysis.expand({})) == 1
    for parameter in analysis.signature.parameters.values():
        for choice in parameter.choices:
            assert analysis.expand({parameter.name: choice})[0][parameter.name] == choice
        if parameter.name in analysis.lists:
            assert len(analysis.expand({parameter.name: list(parameter.choices)})) == len(parameter.choices)
        elif parameter.choices:
            with pytest.raises(UserError, match=f"parameter '{parameter.name}' must be one of"):
                analysis.expand({parameter.name: list(parameter.choices)})


def count_hooks(module: torch.nn.Module) -> int:
    return len(module._forward_hooks) + len(module._forward_pre_hooks)


@pytest.mark.parametrize("name", INTERVENING)
def test_every_intervention_is_told_apart_does_something_and_is_undone(
    name: str, triple: Triple, engine: TransformersEngine, calibration: SimpleNamespace
) -> None:
    """Planned without a model; each changes weights or listens in, and leaves neither behind."""
    analysis = discovery.find(name)
    everything = {p: list(analysis.signature.parameters[p].choices) for p in analysis.lists}
    block = {"block": 3} if "block" in analysis.signature.parameters else {}
    combinations = analysis.expand(everything | block)
    unloaded = Ground(triple, lambda: pytest.fail("a plan loads no model"), calibration="digest")
    planned = [step.identity for step in analysis.list_interventions(unloaded, combinations)]
    assert len(set(planned)) == len(planned) > 1 and planned[0] == INTACT.identity

    def measure(paths: list[str], number: int) -> Any:
        return measure_means(engine.model, engine.processor, paths, calibration.questions, min(number, 2))

    engine.become(triple, Recipe.make(triple, "inject", {"strength": 2.0}))
    ground = Ground(triple, lambda: engine.model, measure, "digest")
    before = {path: value.clone() for path, value in engine.model.state_dict().items()}
    for step in analysis.list_interventions(ground, combinations):
        with step.within(), step.apply():
            state = engine.model.state_dict()
            changed = not all(torch.equal(state[path], value) for path, value in before.items())
            listened = any(map(count_hooks, engine.model.modules()))
            assert (changed or listened) == (step != INTACT)
        state = engine.model.state_dict()
        assert all(torch.equal(state[path], value) for path, value in before.items())
        assert not any(map(count_hooks, engine.model.modules()))


BROKEN = {
    "no function": ('"""Label."""\n', "needs one function of intervene, read, trace"),
    "two": ('"""Label."""\ndef read(text): ...\ndef trace(ground, readings): ...\n', "needs one function"),
    "no label": ("def read(text): ...\n", "has no docstring"),
    "no default": ('"""Label."""\ndef read(text, *, size: int): ...\n', "has no default"),
    "unknown list": (
        '"""Label."""\nLISTS = ["size"]\ndef read(text): ...\n',
        "names 'size', which is no",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_file_that_breaks_the_interface_is_named(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, complaint = BROKEN[fault]
    package = f"analyses_with_{fault.replace(' ', '_')}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    (tmp_path / package / "mine.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(discovery, "PACKAGE", package)
    with pytest.raises(UserError, match=complaint):
        discovery.find("mine")
