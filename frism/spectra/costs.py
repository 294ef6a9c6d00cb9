"""Estimate what each solver costs by shape, rank and device, and choose the cheapest. Imports no torch.

Seconds = operations / rate. Rates are fitted to measurements (tests/timing/spectrum_speed.py), two cores
of a server CPU, fp32, torch 2.15 with MKL: mostly processor seconds of one busy core, halved. Another machine
shifts them all alike, as far as a choice is concerned. The rates of "cuda" are counted from published peaks,
not measured.
"""

from collections.abc import Callable

# Of the randomised solver: each multiplies the decay of its sketch by the squared decay of the matrix.
POWER_STEPS = 2
LINE = 16  # fp32 numbers in a cache line: products of matrices that end within one take 1.4 times as long

Cost = Callable[[int, int, int], float]  # longer side, shorter side, rank -> seconds
PRODUCTS = {"cpu": 170e9, "cuda": 30e12}
"""Operations a second of fp32 products on the machines that the rates are of: another one's over these is how
much faster it is."""


def _sketch(m: int, n: int, k: int) -> float:
    """Count operations of the randomised solver: six products with the sketch, five QRs of it."""
    width = sketch_width(k, n)
    return 12 * m * n * width + 14 * m * width**2


_CPU: dict[str, Cost] = {
    # The square problem; for a tall matrix QR before it, and the product with Q after it.
    "gesdd": lambda m, n, k: (34 * n**3 + 11 * (m - n) * n**2) / 170e9,
    "qr": lambda m, n, k: (34 * n**3 + 12 * (m - n) * n**2) / 170e9,
    # Half the Gram matrix and its eigenvectors in fp64, the product A V in fp32, passes over A.
    "gram": lambda m, n, k: (
        (2.2 * m * n**2 + 14 * n**3) / 82e9 + 2 * m * n**2 / PRODUCTS["cpu"] + 1e-8 * m * n
    ),
    "randomised": lambda m, n, k: _sketch(m, n, k) / 90e9,
}
_CUDA: dict[str, Cost] = {
    "gram": lambda m, n, k: 2 * m * n**2 / PRODUCTS["cuda"] + 15 * n**3 / 1e12,
    "randomised": lambda m, n, k: _sketch(m, n, k) / 10e12,
}
COSTS = {"cpu": _CPU, "cuda": _CUDA}


def estimate_seconds(
    solver: str, shape: tuple[int, ...], rank: int | None = None, device: str = "cpu"
) -> float:
    """Estimate seconds for one (d_out, d_in) matrix on the machine that the rates were measured on."""
    longer, shorter = max(shape), min(shape)
    return COSTS[device][solver](longer, shorter, min(rank or shorter, shorter))


def choose_solver(solver: str, shape: tuple[int, ...], rank: int | None, device: str) -> str:
    """Return the solver itself, or for "auto" the cheapest. `rank`: directions wanted, None for all.

    Devices that have no rates of their own go by the CPU's. The randomised solver is not taken for all
    directions, which it does not find exactly.
    """
    if solver != "auto":
        return solver
    device = device if device in COSTS else "cpu"
    whole = rank is None or rank >= min(shape)
    options = [name for name in COSTS[device] if not (whole and name == "randomised")]
    return min(options, key=lambda name: estimate_seconds(name, shape, rank, device))


def sketch_width(rank: int, shorter: int) -> int:
    """Return the columns of the randomised solver's sketch: a tenth more than wanted, at least ten more.

    Rounded up to whole cache lines, on which products are faster than on fewer columns.
    """
    return min(shorter, -(-(rank + max(10, rank // 10)) // LINE) * LINE)
