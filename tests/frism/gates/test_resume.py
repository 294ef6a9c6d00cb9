"""A fit that is killed, anywhere and often, gives the bits of one that is not."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from frism.errors import UserError
from frism.gates.checkpointer import Checkpointer
from frism.gates.training import GateTraining
from frism.triples.triple import Triple

from . import fits

STEPS = 12


@pytest.fixture(scope="module")
def whole(triple: Triple) -> dict[str, torch.Tensor]:
    return fits.fit(triple, None, STEPS)


def same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def stop_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next fit end with an exception after so many steps, its state kept at the one before."""
    original = GateTraining._step

    def step(run: GateTraining, number: int) -> dict[str, float]:
        if number == steps:
            raise KeyboardInterrupt
        return original(run, number)

    monkeypatch.setattr(GateTraining, "_step", step)


@pytest.mark.parametrize("stops", [(1,), (4, 5, 11)])
def test_going_on_gives_the_same_bits(
    triple: Triple,
    whole: dict[str, torch.Tensor],
    tmp_path: Path,
    stops: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("frism.gates.checkpointer.TIME_SHARE", 1.0)  # a state after every step
    for number in stops:
        with monkeypatch.context() as patched:
            stop_after(number, patched)
            with pytest.raises(KeyboardInterrupt):
                fits.fit(triple, tmp_path, STEPS)
        (own,) = tmp_path.glob("gates-*")
        assert len((own / "learning.csv").read_text().splitlines()) == number + 1
    taken = []
    original = GateTraining._step

    def counted(run: GateTraining, number: int) -> dict[str, float]:
        taken.append(number)
        return original(run, number)

    monkeypatch.setattr(GateTraining, "_step", counted)
    assert same(fits.fit(triple, tmp_path, STEPS), whole)
    assert taken == list(range(stops[-1], STEPS))
    assert same(fits.fit(triple, tmp_path, STEPS), whole)  # a finished fit takes no step more
    assert len(taken) == STEPS - stops[-1]


def test_damaged_and_foreign_states_are_not_used(
    triple: Triple, whole: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    fits.fit(triple, tmp_path, STEPS)
    (state,) = tmp_path.glob("gates-*/state.pt")
    state.write_bytes(state.read_bytes()[:1000])
    assert same(fits.fit(triple, tmp_path, STEPS), whole)
    other = fits.fit(triple, tmp_path, STEPS, alpha=0.3)
    assert not same(other, whole)
    assert len(list(tmp_path.glob("gates-*"))) == 2
    assert len(list(tmp_path.glob("teacher-*"))) == 1  # shared: alpha is nothing to the teacher
    assert Checkpointer(state, "another key").load() is None


def test_a_state_is_written_as_often_as_it_is_cheap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("frism.gates.checkpointer.time.monotonic", lambda: now[0])
    checkpointer = Checkpointer(tmp_path / "state.pt", "k")

    def state() -> dict[str, float]:
        now[0] += 1.0  # seconds that writing takes
        return {"n": now[0]}

    assert checkpointer.save_if_due(state)
    now[0] = 19.9
    assert not checkpointer.save_if_due(state)
    now[0] = 20.1
    assert checkpointer.save_if_due(state)
    assert checkpointer.load() == {"n": pytest.approx(21.1)}
    assert not Checkpointer(None, "k").save_if_due(state)


def test_a_disk_that_refuses_is_one_sentence(tmp_path: Path) -> None:
    checkpointer = Checkpointer(tmp_path / "state.pt", "k")
    assert checkpointer.save_if_due(lambda: {"n": torch.zeros(3)})
    checkpointer = Checkpointer(tmp_path / "state.pt", "k")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*state\.pt: .*larger than the system allows"):
            checkpointer.save_if_due(lambda: {"n": torch.zeros(4096)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    found = checkpointer.load()
    assert found is not None
    assert len(found["n"]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


class Killer:
    """Runs one fit in processes of its own, and kills them."""

    def __init__(self, folders: dict[str, Path], out: Path, steps: int = STEPS) -> None:
        self.out, self.root = out, Path(__file__).parents[3]
        roles = [str(folders[role]) for role in ("base", "vlm", "lrm")]
        self.command = [sys.executable, "-m", "tests.frism.gates.fits", *roles, str(out), str(steps)]

    def start(self) -> subprocess.Popen[bytes]:
        """A process that begins its fit now (its imports are done)."""
        environment = os.environ | {
            "PYTHONPATH": str(self.root),
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
        }
        process = subprocess.Popen(
            self.command, cwd=self.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"begins\n"
        return process

    def finish(self) -> dict[str, torch.Tensor]:
        """What an undisturbed process finds in the end."""
        assert self.start().wait() == 0
        return load_file(self.out / "fitted.safetensors")

    def kill_after(self, seconds: float) -> bool:
        """Start, kill after a time; whether it still ran."""
        process = self.start()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL

    def states(self) -> int:
        """How many steps the newest state has behind it."""
        lines = [path.read_text().count("\n") - 1 for path in self.out.glob("work/gates-*/learning.csv")]
        return max(lines, default=0)


def test_a_killed_process_changes_nothing(
    triple_folders: dict[str, Path], whole: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    killer = Killer(triple_folders, tmp_path / "out")
    process = killer.start()
    while killer.states() < 2 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert same(killer.finish(), whole)


@pytest.mark.slow
def test_ten_kills_at_random_points_change_nothing(
    triple: Triple, triple_folders: dict[str, Path], tmp_path: Path
) -> None:
    steps = 10 * STEPS  # most of the time, so that most kills fall among them
    whole = fits.fit(triple, None, steps)
    killer, numbers = Killer(triple_folders, tmp_path / "out", steps), random.Random(1)
    began = time.monotonic()
    assert same(killer.finish(), whole)
    span, reached = time.monotonic() - began, []
    shutil.rmtree(killer.out)
    while len(reached) < 10:
        if killer.kill_after(numbers.uniform(0, span)):
            reached.append(killer.states())
        else:  # it was done before its time: the next one begins with nothing
            assert same(load_file(killer.out / "fitted.safetensors"), whole)
            shutil.rmtree(killer.out)
    print("steps kept at each kill:", reached)
    assert same(killer.finish(), whole)
