"""How long the SVD of a task vector takes, and how good it is: our choice of solver beside torch.linalg.svd.

    python tests/timing/spectrum_speed.py --model 7b
    python tests/timing/spectrum_speed.py --shapes 3584x3584,18944x3584 --rank 256 --spectrum flat

Per shape, the ways run `--runs` times in one process, in either order by turns; medians, residual (relative
Frobenius norm, estimated from 64 Gaussian probes for large matrices) and orthogonality (max|U^T U - I|,
max|V^T V - I|) as Markdown. A wide matrix is also solved as its transpose, which suits LAPACK better. Then
the totals counted for every matrix of the model. "cpu s" is the processor
time of all threads, which other work on the machine disturbs less than the wall time.

The matrices: "decaying" has singular values that fall as k^-0.7, seen through the rounding of two bf16
checkpoints, whose difference a task vector is; "flat" is Gaussian, the hardest case for a truncated spectrum.
With `--rank`, torch.linalg.svd still finds all directions, which are then cut.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from frism.spectra.costs import choose_solver
from frism.spectra.quality import orthogonality, residual
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectrum import Spectrum, decompose, remainder

Shape = tuple[int, int]
# Layers, and the matrices of one: q and o, k and v, gate and up, down.
MODELS: dict[str, tuple[int, dict[Shape, int]]] = {
    "3b": (36, {(2048, 2048): 2, (256, 2048): 2, (11008, 2048): 2, (2048, 11008): 1}),
    "7b": (28, {(3584, 3584): 2, (512, 3584): 2, (18944, 3584): 2, (3584, 18944): 1}),
    "32b": (64, {(5120, 5120): 2, (1024, 5120): 2, (27648, 5120): 2, (5120, 27648): 1}),
}


@dataclass
class Way:
    """One way of decomposing: the solver, what its runs cost, and how good its result is."""

    name: str
    run: Callable[[Tensor], Spectrum]
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    residual: float = 0.0
    orthogonality: float = 0.0
    tail: float = 0.0

    def once(self, matrix: Tensor) -> Spectrum:
        wall, cpu = time.perf_counter(), time.process_time()
        spectrum = self.run(matrix)
        if matrix.is_cuda:
            torch.cuda.synchronize(matrix.device)
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)
        return spectrum

    def judge(self, matrix: Tensor, spectrum: Spectrum) -> None:
        self.residual = residual(matrix, spectrum)
        self.orthogonality = orthogonality(spectrum)
        if spectrum.tail is not None:
            self.tail = float(spectrum.tail.sqrt() / matrix.norm())


def task_vector(shape: Shape, kind: str, device: str) -> Tensor:
    """A random task vector, (d_out, d_in), fp32."""
    generator = torch.Generator().manual_seed(0)
    if kind == "flat":
        return (1e-3 * torch.randn(shape, generator=generator)).to(device)
    k = min(shape)
    left, right = torch.randn(shape[0], k, generator=generator), torch.randn(k, shape[1], generator=generator)
    tau = (left.to(device) * torch.arange(1, k + 1, device=device) ** -0.7) @ right.to(device)
    base = 0.02 * torch.randn(shape, generator=generator).to(device)
    return (base + 1e-3 * tau / tau.std()).bfloat16().float() - base.bfloat16().float()


def library(matrix: Tensor, rank: int | None) -> Spectrum:
    """torch.linalg.svd with its defaults, cut to the leading directions."""
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    if rank is None or rank >= len(s):
        return Spectrum(u, s, vh)
    u, s, vh = u[:, :rank], s[:rank], vh[:rank]
    return Spectrum(u, s, vh, remainder(matrix, u, s, vh)[0].float())


def turned(matrix: Tensor, rank: int | None) -> Spectrum:
    """The same of the transpose, which is faster for wide matrices."""
    found = library(matrix.T.contiguous(), rank)
    return Spectrum(found.vh.T.contiguous(), found.s, found.u.T.contiguous(), found.tail)


def compare(shape: Shape, args: argparse.Namespace) -> list[Way]:
    """All ways on one matrix of this shape."""
    matrix = task_vector(shape, args.spectrum, args.device)
    settings = SpectrumSettings(rank=args.rank, solver=args.solver)
    name = choose_solver(args.solver, shape, args.rank, torch.device(args.device).type)
    ways = [
        Way(name, lambda tau: decompose(tau, settings)),
        Way("torch.linalg.svd", lambda tau: library(tau, args.rank)),
    ]
    if shape[0] < shape[1]:
        ways.append(Way("torch.linalg.svd, turned", lambda tau: turned(tau, args.rank)))
    for run in range(args.runs):
        for way in ways if run % 2 == 0 else reversed(ways):
            spectrum = way.once(matrix)
            if run == 0:
                way.judge(matrix, spectrum)
            del spectrum
    return ways


def row(label: str, ways: list[Way]) -> str:
    """One line of the table for each way."""
    wall, cpu = (statistics.median(getattr(ways[1], what)) for what in ("wall", "cpu"))
    lines = []
    for way in ways:
        own = statistics.median(way.wall), statistics.median(way.cpu)
        cells = [
            label, way.name, f"{own[0]:.3f}", f"{wall / own[0]:.2f}", f"{own[1]:.3f}", f"{cpu / own[1]:.2f}",
            f"{way.residual:.1e}", f"{way.orthogonality:.1e}", f"{way.tail:.3f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the comparison per shape, and the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="7b", help="whose matrices are counted")
    parser.add_argument("--shapes", help="d_outxd_in,...: only these (default: the model's)")
    parser.add_argument("--rank", type=int, help="directions kept (default: all)")
    parser.add_argument("--solver", default="auto")
    parser.add_argument("--spectrum", choices=("decaying", "flat"), default="decaying")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    layers, counts = MODELS[args.model]
    shapes = (
        [tuple(map(int, text.split("x"))) for text in args.shapes.split(",")] if args.shapes else [*counts]
    )
    print(
        f"torch {torch.__version__}, {args.device}, {torch.get_num_threads()} threads, {args.spectrum} "
        f"spectrum, rank {args.rank or 'full'}, medians of {args.runs}\n\n"
        "| shape | way | s | times | cpu s | times | residual | orthogonality | tail |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    measured: dict[tuple[int, ...], list[Way]] = {}
    for shape in shapes:
        measured[shape] = compare((shape[0], shape[1]), args)
        print(row("x".join(map(str, shape)), measured[shape]), flush=True)
    # A matrix costs what its transpose costs.
    known = {shape: measured.get(shape, measured.get(shape[::-1], [])) for shape in counts}
    if not all(known.values()):
        return
    for what, label in (("wall", "s"), ("cpu", "cpu s")):
        ours, plain, upright = (
            layers * sum(n * seconds(known[shape], way, what) for shape, n in counts.items())
            for way in range(3)
        )
        print(
            f"\nAll {layers * sum(counts.values())} matrices of {args.model}, counted: {ours:,.0f} {label}; "
            f"torch.linalg.svd takes {plain / ours:.2f} times that ({plain:,.0f}), and {upright / ours:.2f} "
            f"times that ({upright:,.0f}) where wide matrices are turned."
        )


def seconds(ways: list[Way], index: int, what: str) -> float:
    """The median of one way; torch.linalg.svd needs no turning where there is no third."""
    return statistics.median(getattr(ways[index if index < len(ways) else 1], what))


if __name__ == "__main__":
    main()
