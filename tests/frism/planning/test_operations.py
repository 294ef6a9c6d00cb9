"""Counted operations against the code that does the work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frism.gates.branch import rebuilding_pays
from frism.planning import machines
from frism.planning import operations as op
from frism.planning.shapes import Matrix
from frism.spectra import randomised

CPU = machines.profiles()["cpu1"]
sizes = st.integers(16, 20_000)


@given(sizes, sizes, st.integers(1, 8192))
def test_the_way_is_the_one_that_the_gates_take(rows, columns, tokens):
    way, _ = op.gating_work(Matrix("", rows, columns), min(rows, columns), tokens)
    assert (way == "rebuild") == rebuilding_pays(rows, columns, tokens)


@given(st.integers(256, 20_000), st.integers(256, 20_000), st.integers(1, 4096), st.integers(1, 256))
def test_a_side_branch_costs_what_its_multiplications_say(rows, columns, tokens, rank):
    matrix = Matrix("", rows, columns)
    way, added = op.gating_work(matrix, rank, tokens)
    if way == "side":  # performance.md, section 3: r (d_out + d_in) / (d_out d_in) of forward and backward
        frozen = 4 * tokens * matrix.values
        assert added / frozen == pytest.approx(rank * (rows + columns) / matrix.values)


def test_the_randomised_solver_is_counted_as_it_is_written():
    assert op.POWER_STEPS == randomised.POWER_STEPS


@pytest.mark.parametrize("solver", ["gesdd", "gram", "qr", "randomised"])
def test_a_wide_matrix_costs_what_its_transpose_costs(solver):
    tall, wide = Matrix("", 4096, 1024), Matrix("", 1024, 4096)
    assert op.svd(CPU, solver, tall, 64) == op.svd(CPU, solver, wide, 64) > 0
    assert op.svd_memory(solver, tall, 64) == op.svd_memory(solver, wide, 64) >= 3 * 4 * tall.values


def test_few_directions_are_cheaper_than_all():
    matrix = Matrix("", 3584, 3584)
    assert op.svd(CPU, "randomised", matrix, 256) < op.svd(CPU, "gesdd", matrix, 3584) / 5


@given(st.integers(1, 2048), st.integers(1, 2048))
def test_more_tokens_never_cost_less(one, other):
    few, many = sorted((one, other))
    assert op.linear(CPU, "float32", few, 1e6) <= op.linear(CPU, "float32", many, 1e6) * 1.0001
