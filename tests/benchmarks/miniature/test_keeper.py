"""A training run that was cut off goes on with the same bits; a stage that is not down gets more steps."""

from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks.miniature import base, tower, training, vlm
from benchmarks.miniature.base import train_base
from benchmarks.miniature.keeper import Keeper
from benchmarks.miniature.tokenizer import build_processor, build_tokenizer
from benchmarks.miniature.training import _Run
from benchmarks.miniature.vlm import train_vlm


class CutOffError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def processor():
    torch.set_num_threads(1)
    return build_processor(build_tokenizer())


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Two documents a step: what is tested is where a run goes on, not what it learns."""

    def fit_little(*arguments, **keywords):
        return training.fit(*arguments, **keywords | {"batch": 2})

    monkeypatch.setattr(base, "fit", fit_little)
    monkeypatch.setattr(vlm, "fit", fit_little)
    monkeypatch.setattr(vlm, "pretrain_tower", partial(tower.pretrain_tower, batch=2))


def equal(a, b) -> bool:
    return all(torch.equal(x, b.state_dict()[k]) for k, x in a.state_dict().items())


def cut_off_after(monkeypatch, steps: int) -> None:
    """Let the optimizers' steps of a run end after so many."""
    taken, step = [], torch.optim.AdamW.step

    def count(self, *arguments):
        taken.append(1)
        if len(taken) > steps:
            raise CutOffError
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", count)


@pytest.mark.parametrize("cut", [3, 8])
def test_a_base_that_was_cut_off_comes_out_the_same(processor, tmp_path, monkeypatch, cut) -> None:
    """Within the first stage, and within the second."""
    steps = {"copy_steps": 5, "steps": 4, "request_steps": 1}
    whole = train_base(processor, tmp_path / "whole.csv", **steps)
    curve = tmp_path / "loss.csv"
    with monkeypatch.context() as patch, pytest.raises(CutOffError):
        cut_off_after(patch, cut)
        train_base(processor, curve, **steps, keeper=Keeper.open(tmp_path / "state", curve, "k", every=2))
    kept = Keeper.open(tmp_path / "state", curve, "k", every=2)
    assert equal(train_base(processor, curve, **steps, keeper=kept), whole)
    assert curve.read_text() == (tmp_path / "whole.csv").read_text()


def test_a_vlm_that_was_cut_off_comes_out_the_same(processor, tmp_path, monkeypatch) -> None:
    """After the vocabulary stood in for the tower, and after the tower was trained by itself."""
    parent = train_base(processor, tmp_path / "b.csv", copy_steps=1, steps=1, request_steps=0)
    steps = {"vocabulary_steps": 2, "tower_steps": 2, "align_steps": 3, "tune_steps": 2}
    whole = train_vlm(parent, processor, tmp_path / "whole.csv", **steps)
    curve = tmp_path / "loss.csv"
    for cut in (3, 3, 2):
        with monkeypatch.context() as patch, pytest.raises(CutOffError):
            cut_off_after(patch, cut)
            train_vlm(parent, processor, curve, **steps, keeper=Keeper.open(tmp_path / "s", curve, "k", 1))
    kept = Keeper.open(tmp_path / "s", curve, "k", 1)
    assert equal(train_vlm(parent, processor, curve, **steps, keeper=kept), whole)
    assert curve.read_text() == (tmp_path / "whole.csv").read_text()


def test_the_state_of_another_recipe_and_a_broken_one_are_not_taken_up(processor, tmp_path) -> None:
    curve, model = tmp_path / "loss.csv", torch.nn.Linear(2, 2)
    keeper = Keeper.open(tmp_path / "state", curve, "one")
    keeper.keep("base: copying", model, finished=True)
    assert keeper.take_up("base: copying", model) == {"finished": True, "curve": ""}
    (state,) = (tmp_path / "state").glob("*.pt")
    state.write_bytes(state.read_bytes()[:100])
    assert keeper.take_up("base: copying", model) is None
    keeper.keep("base: copying", model, finished=True)
    assert Keeper.open(tmp_path / "state", curve, "another").take_up("base: copying", model) is None


def run_through(losses: list[float], steps: int, patience: float) -> _Run:
    """Go through a stage whose smoothed loss is known; the last value stays."""
    run = _Run(steps)
    for step in run.go_on():
        if run.is_put_off(0.3 * steps, patience, limit=2 * steps):
            run.total += 1
        run.smooth = losses[min(step, len(losses) - 1)]
    return run


def test_steps_are_added_until_the_loss_is_down_but_no_more_than_as_many_again() -> None:
    early = run_through([1.0] * 50 + [0.1], 100, 0.2)
    late = run_through([1.0] * 90 + [0.1], 100, 0.2)
    never = run_through([1.0], 100, 0.2)
    assert (early.total, never.total) == (100, 200)
    assert 100 < late.total < 125 and late.total - 90 == pytest.approx(30, abs=2)  # falls when it is down
    # A loss that rises again later does not stop a fall that has begun.
    assert run_through([1.0] * 50 + [0.1] * 25 + [1.0], 100, 0.2).total == 100


def test_a_patient_run_whose_loss_is_down_is_the_same_run(processor, tmp_path: Path) -> None:
    steps = {"copy_steps": 4, "steps": 0, "request_steps": 0}
    plain = train_base(processor, tmp_path / "plain.csv", **steps)
    patient = train_base(processor, tmp_path / "patient.csv", **steps, patient=True)
    assert not equal(plain, patient)  # a loss of 6 is not down
    assert pd.read_csv(tmp_path / "patient.csv")["step"].max() == 7
