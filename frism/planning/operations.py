"""What single operations cost on a machine: seconds from counted work and a measured rate. Pure functions.

Work is counted in floating point operations (a multiplication and an addition are two) and bytes moved.
"""

from typing import Literal

from frism.planning.machines import Machine
from frism.planning.shapes import Matrix
from frism.spectra.costs import POWER_STEPS, sketch_width

FLOAT32 = 4
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
TALL = 11 / 6  # rows to columns from which gesdd begins with a QR (LAPACK's own figure)
KEPT = 1 << 22  # entries up to which a rebuilt matrix is kept for the backward pass
Way = Literal["side", "rebuild"]
Factorisation = Literal["gesdd", "eigh", "qr"]


def linear(machine: Machine, dtype: str, tokens: float, values: float, products: float = 1) -> float:
    """`tokens` vectors through matrices of `values` entries in all, `products` times."""
    return products * 2 * tokens * values / machine.matmul_rate(dtype, tokens)


def product(machine: Machine, rows: float, inner: float, columns: float) -> float:
    """One matrix product (rows, inner) x (inner, columns) in fp32; rates go by the smallest side."""
    return 2 * rows * inner * columns / machine.algebra_rate("product", min(rows, inner, columns))


def elementwise(machine: Machine, bytes_moved: float) -> float:
    """Arithmetic entry by entry; bytes read and written."""
    return bytes_moved / machine.elementwise


def factorisation_work(kind: Factorisation, rows: float, columns: float) -> float:
    """Operations of LAPACK's routines on a (rows, columns) matrix with rows >= columns.

    gesdd: bidiagonalisation, divide and conquer, both factors; eigh: tridiagonalisation and all eigenvectors;
    qr: the triangle and an explicit Q (Golub and Van Loan, Matrix Computations, 5.2, 8.3 and 8.6).
    """
    if kind == "qr":
        return 4 * rows * columns**2 - 4 / 3 * columns**3
    return (4 * rows * columns**2 + 22 * columns**3) if kind == "gesdd" else 9 * columns**3


def factorise(machine: Machine, kind: Factorisation, rows: float, columns: float) -> float:
    """One such routine; rates go by the columns."""
    return factorisation_work(kind, rows, columns) / machine.algebra_rate(kind, columns)


def svd(machine: Machine, solver: str, matrix: Matrix, rank: int) -> float:
    """One decomposition by a solver of `frism.spectra.solvers`, as the products and factorisations in it."""
    long, short = max(matrix.rows, matrix.columns), min(matrix.rows, matrix.columns)
    back = product(machine, long, short, short)
    if solver == "randomised":
        return _randomised(machine, long, short, rank)
    if solver == "gram":
        # A little more than half of the products, in strips; then columns are widened, normed and divided.
        halves = 1.25 * long * short**2 / machine.matmul_rate("float64", short)
        aside = elementwise(machine, 120 * matrix.values)
        return halves + factorise(machine, "eigh", short, short) + back + aside
    if solver == "qr" or long > TALL * short:  # gesdd itself takes this way for tall matrices
        return factorise(machine, "qr", long, short) + factorise(machine, "gesdd", short, short) + back
    return factorise(machine, "gesdd", long, short)


def _randomised(machine: Machine, long: int, short: int, rank: int) -> float:
    """Sketch, power steps and projection, with a QR after every product; then a low, wide SVD."""
    wide = sketch_width(rank, short)
    products = 2 * (1 + POWER_STEPS) * product(machine, long, short, wide)
    bases = (1 + POWER_STEPS) * factorise(machine, "qr", long, wide)
    bases += POWER_STEPS * factorise(machine, "qr", short, wide)
    small = factorise(machine, "qr", short, wide) + factorise(machine, "gesdd", wide, wide)
    return products + bases + small + product(machine, long + short, wide, wide)


def gating_work(matrix: Matrix, rank: int, tokens: float) -> tuple[Way, float]:
    """The cheaper way through a gated matrix, and the operations that it adds to the frozen layer's.

    side: V^T x and U(...) forward, their transposes backward. rebuild: the merged W formed once a step
    (twice, forward and backward, where it is too large to keep), and V^T x and U^T delta for the gates'
    gradient. The rule is that of `frism.gates.branch.rebuilding_pays`.
    """
    both = matrix.rows + matrix.columns
    times = 1 if matrix.values <= KEPT else 2
    if tokens * both > times * matrix.values:
        return "rebuild", 2 * times * matrix.values * rank + 2 * tokens * rank * both
    return "side", 4 * tokens * rank * both


def svd_memory(solver: str, matrix: Matrix, rank: int) -> float:
    """Largest memory of one decomposition with its check: tau, its copy, factors, workspace."""
    short = matrix.full_rank
    factors = rank * (matrix.rows + matrix.columns)
    if solver == "randomised":
        return FLOAT32 * (3.25 * matrix.values + 4 * factors)
    if solver == "gram":
        return FLOAT32 * (3 * matrix.values + factors + 6 * short**2)
    return FLOAT32 * (3 * matrix.values + factors + 5 * short**2)
