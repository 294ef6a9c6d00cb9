"""The choice of a solver follows shape, rank and device; jobs share the work evenly; nothing needs torch."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frism.errors import UserError
from frism.spectra.costs import COSTS, LINE, choose_solver, estimate_seconds, sketch_width
from frism.spectra.parts import choose_part, parse_layers
from frism.spectra.settings import SpectrumSettings

SEVEN = {
    f"layers.{layer}.{name}": shape
    for layer in range(28)
    for name, shape in {
        "q": (3584, 3584), "k": (512, 3584), "v": (512, 3584), "o": (3584, 3584),
        "gate": (18944, 3584), "up": (18944, 3584), "down": (3584, 18944),
    }.items()
}  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "rank", "device", "solver"),
    [
        ((3584, 3584), None, "cpu", "gesdd"),  # nothing is faster for square matrices on a CPU
        ((18944, 3584), None, "cpu", "gram"),
        ((3584, 18944), None, "cpu", "gram"),
        ((512, 3584), None, "cpu", "gram"),
        ((18944, 3584), 256, "cpu", "randomised"),
        ((3584, 3584), 256, "cpu", "randomised"),
        ((512, 3584), 512, "cpu", "gram"),  # all that there are
        ((512, 3584), 9999, "cpu", "gram"),
        ((3584, 3584), 3500, "cpu", "gesdd"),  # nearly all: a sketch would cost more
        ((3584, 3584), None, "cuda", "gram"),
        ((18944, 3584), 256, "cuda", "randomised"),
        ((3584, 3584), None, "mps", "gesdd"),  # no rates of its own
    ],
)
def test_the_cheapest_solver(shape: tuple[int, int], rank: int | None, device: str, solver: str) -> None:
    assert choose_solver("auto", shape, rank, device) == solver
    assert choose_solver("qr", shape, rank, device) == "qr"


@settings(deadline=None)
@given(
    st.sampled_from([(device, solver) for device, found in COSTS.items() for solver in found]),
    st.tuples(st.integers(1, 30_000), st.integers(1, 30_000)),
    st.integers(1, 4000),
)
def test_costs_are_positive_and_do_not_depend_on_orientation(
    way: tuple[str, str], shape: tuple[int, int], rank: int
) -> None:
    device, solver = way
    assert (
        0
        < estimate_seconds(solver, shape, rank, device)
        == estimate_seconds(solver, shape[::-1], rank, device)
    )


@given(st.integers(1, 4000), st.integers(1, 30_000))
def test_a_sketch_holds_a_tenth_more_than_is_wanted_in_whole_cache_lines(rank: int, shorter: int) -> None:
    rank = min(rank, shorter)
    width = sketch_width(rank, shorter)
    assert min(shorter, rank + max(10, rank // 10)) <= width <= shorter
    assert width == shorter or width % LINE == 0


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.sampled_from([None, 64]), st.sampled_from(["auto", "gesdd", "gesvdj"]))
def test_parts_share_all_matrices_evenly(parts: int, rank: int | None, solver: str) -> None:
    how = SpectrumSettings(rank=rank, solver=solver)
    shares = [choose_part(SEVEN, f"{part}/{parts}", how) for part in range(1, parts + 1)]
    assert sorted(name for names in shares for name in names) == sorted(SEVEN)
    kind = "gesdd" if solver == "gesvdj" else choose_solver(solver, (18944, 3584), rank, "cpu")
    largest = estimate_seconds(kind, (18944, 3584), rank)
    loads = [
        sum(
            estimate_seconds(
                "gesdd" if solver == "gesvdj" else choose_solver(solver, SEVEN[name], rank, "cpu"),
                SEVEN[name],
                rank,
            )
            for name in names
        )
        for names in shares
    ]
    assert max(loads) - min(loads) <= largest


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b", "1/0", "1/2/3", ""])
def test_a_part_that_there_is_not(part: str) -> None:
    with pytest.raises(UserError, match="is not a part: write I/N"):
        choose_part(SEVEN, part, SpectrumSettings())


def test_layers_by_name() -> None:
    assert parse_layers("0-3", 28) == {0, 1, 2, 3}
    assert parse_layers("3, 5-7,27", 28) == {3, 5, 6, 7, 27}
    for text, told in (
        ("0-28", "layers 0 to 27"),
        ("5-3", "layers 0 to 27"),
        ("a", "write 0-13"),
        ("", "write"),
    ):
        with pytest.raises(UserError, match=told):
            parse_layers(text, 28)


def test_plans_need_no_torch() -> None:
    code = (
        "import sys, frism.spectra.costs, frism.spectra.parts, frism.spectra.store, frism.commands.spectrum;"
        "sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
