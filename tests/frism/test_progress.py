"""Progress without a terminal: lines in a log, at most one every ten seconds, and one at the end."""

import pytest

from frism import progress
from frism.progress import Progress, count_up


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, set by the test."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_every_ten_seconds_and_one_at_the_end(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("gates", 60, "steps") as shown:
        for _ in range(30):
            clock[0] += 1
            shown.advance(2, note="KL 0.1")
    assert capsys.readouterr().err.splitlines() == [
        "gates: 20 of 60, 2.0 steps/s, 20 s left, KL 0.1",
        "gates: 40 of 60, 2.0 steps/s, 10 s left, KL 0.1",
        "gates: 60 of 60, 2.0 steps/s, 0 s left, KL 0.1",
        "gates: 60 of 60, in 30 s, KL 0.1",
    ]


def test_what_was_done_before_counts_but_not_for_the_rate(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("answers", 100, "questions", done=40) as shown:
        shown.skip(20)
        clock[0] = 20.0
        shown.advance(20)
    assert capsys.readouterr().err.splitlines()[0] == "answers: 80 of 100, 1.0 questions/s, 20 s left"


def test_a_step_that_fails_claims_no_end(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), Progress("gates", 3):
        raise RuntimeError
    assert capsys.readouterr().err == ""


def test_a_loop_counts_itself(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for item in count_up([1, 2, 3], "matrices"):
        seen.append(item)
        clock[0] += 6
    assert seen == [1, 2, 3]
    assert capsys.readouterr().err.splitlines() == ["matrices: 2 of 3, 6 s left", "matrices: 3 of 3, in 18 s"]
