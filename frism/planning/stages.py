"""What the other stages cost: seconds, memory and disk from shapes, settings and a machine's rates.

Pure functions; what they assume stands in their docstrings. Memory is private: pages of mapped files, which
the system can take back, are not counted.
"""

from frism.planning import operations as op
from frism.planning.machines import Machine
from frism.planning.passes import answering, loading, read, seeing, widening
from frism.planning.shapes import Matrix, Shape
from frism.planning.work import AnswerWork, SpectrumWork, Stage
from frism.spectra.costs import choose_solver

HEADER = 1 << 10  # bytes of a safetensors header and its metadata
EXACT = 1024  # shorter side up to which a spectrum's residual is computed, not estimated


def hashing(shape: Shape, machine: Machine, *, cached: bool = False) -> Stage:
    """Digest of three checkpoints: files read and put through sha256 side by side, or off a slower disk."""
    size, side_by_side = shape.triple_bytes, min(machine.cores, 3)
    seconds = size * (1 / machine.hash + 1 / machine.read_cached) / side_by_side
    parts = {"start": machine.start_plain, "hash": seconds if cached else max(seconds, size / machine.read)}
    return Stage("hash", parts, machine.process_plain)


def spectrum(shape: Shape, work: SpectrumWork, machine: Machine, *, cached: bool = False) -> Stage:
    """SVD of every matrix of tau_R, one in memory at a time; checked, hashed, kept in a file each."""
    reading = svd = check = write = largest = size = 0.0
    for matrix in shape.text.matrices:
        rank = matrix.rank(work.rank)
        solver = choose_solver(work.solver, (matrix.rows, matrix.columns), rank, machine.device)
        reading += 2 * shape.stored * matrix.values / read(machine, cached) + widening(machine, matrix.values)
        svd += op.svd(machine, solver, matrix, rank)
        check += checking(machine, matrix, rank)
        factors = factor_bytes(matrix, rank, work.dtype)
        write += factors / machine.hash + factors / machine.write
        size += factors + HEADER
        largest = max(largest, op.svd_memory(solver, matrix, rank))
    layers = shape.text.layers
    parts = {
        "start": machine.start, "read": layers * reading, "svd": layers * svd, "check": layers * check,
        "write": layers * write,
    }  # fmt: skip
    if machine.device == "cuda":
        staged = (2 * shape.stored + op.FLOAT32) * max(m.values for m in shape.text.matrices)
        return Stage("spectrum", parts, machine.process + staged, largest, layers * size)
    return Stage("spectrum", parts, machine.process + largest, disk=layers * size)


def checking(machine: Machine, matrix: Matrix, rank: int) -> float:
    """Seconds that residual, orthogonality and the tail's norm take (`frism.spectra.quality`)."""
    half = rank**2 * (matrix.rows + matrix.columns) / machine.algebra_rate("product", rank)
    if rank < matrix.full_rank:
        passes = op.elementwise(machine, 80 * matrix.values)  # what is left over, twice, and its norm in fp64
        return half + 4 * op.product(machine, matrix.rows, matrix.columns, rank) + passes
    if matrix.full_rank <= EXACT:
        return half + 2 * op.product(machine, matrix.rows, matrix.columns, rank)
    return half


def factor_bytes(matrix: Matrix, rank: int, dtype: str) -> float:
    """Bytes of U, S, V^T and the tail's norm as stored."""
    return op.BYTES[dtype] * rank * (matrix.rows + matrix.columns) + op.FLOAT32 * (
        rank + (rank < matrix.full_rank)
    )


def merging(
    shape: Shape,
    machine: Machine,
    *,
    reads: int,
    passes: float,
    rank: int | None = None,
    spectrum_dtype: str | None = None,
    svds: int = 0,
    cached: bool = False,
) -> float:
    """Seconds to fill the matrices of a loaded model with a variant.

    Args:
        reads: checkpoints read. passes: element-wise passes over fp32 values, each read and written.
        rank, spectrum_dtype: of kept spectra, where the method works on singular directions.
        svds: decompositions of every matrix that the method computes for itself.
    """
    text = shape.text
    seconds = reads * shape.stored * text.matrix_values / read(machine, cached)
    seconds += op.elementwise(machine, 8 * passes * text.matrix_values)
    for matrix in text.matrices:
        if spectrum_dtype is not None:
            kept = matrix.rank(rank)
            size = op.BYTES[spectrum_dtype] * kept * (matrix.rows + matrix.columns)
            seconds += text.layers * (
                size / read(machine, cached) + op.product(machine, matrix.rows, kept, matrix.columns)
            )
        seconds += svds * text.layers * op.svd(machine, "randomised", matrix, matrix.rank(1024))
    return seconds


def merge_on_load(shape: Shape, machine: Machine, merge: float, dtype: str, *, cached: bool = False) -> Stage:
    """Start a process, load V, and fill in a variant, which takes `merge` seconds (see `merging`)."""
    largest = max(matrix.values for matrix in shape.text.matrices)
    parts = {
        "start": machine.start + machine.start_model, "load": loading(shape, machine, cached=cached),
        "merge": merge,
    }  # fmt: skip
    weights = op.BYTES[dtype] * shape.values
    if machine.device == "cuda":
        return Stage("merge on load", parts, machine.process_model, weights + 8 * op.FLOAT32 * largest)
    return Stage("merge on load", parts, machine.process_model + weights + 8 * op.FLOAT32 * largest)


def answers(shape: Shape, work: AnswerWork, machine: Machine, dtype: str) -> Stage:
    """Answer questions with a loaded model, in batches; every answer has `answer_tokens` tokens."""
    visual = work.patches // shape.tower.merge
    prompt = visual + work.text_tokens
    batches = -(-work.questions // work.batch)
    size = min(work.batch, work.questions)
    parts = {
        "tower": work.questions * seeing(shape, machine, dtype, work.patches),
        "generate": batches
        * answering(shape, machine, dtype, size, prompt, work.answer_tokens, work.longest),
    }
    text = shape.text
    cache = 2 * text.layers * text.kv_heads * text.head_dim * op.BYTES[dtype]
    held = op.BYTES[dtype] * shape.values + cache * size * (prompt + work.answer_tokens)
    held += 2 * op.BYTES[dtype] * size * prompt * (text.hidden + text.intermediate)
    disk = work.questions * (250 + 5 * work.answer_tokens)
    if machine.device == "cuda":
        return Stage("answers", parts, machine.process_model, held, disk)
    return Stage("answers", parts, machine.process_model + held, 0.0, disk)


def exporting(
    shape: Shape, machine: Machine, merge: float, *, rank: int | None = None, cached: bool = False
) -> Stage:
    """Write a variant as a checkpoint: the merge, and V's bytes through to the disk. `rank`: of spectra."""
    largest = max(shape.text.matrices, key=lambda matrix: matrix.values)
    copy = shape.bytes / read(machine, cached)
    parts = {"start": machine.start, "merge": merge, "copy": copy, "write": shape.bytes / machine.write}
    # Freed memory is kept for the next tensor (frism.commands.merge.settle): more than the arrays in hand,
    # and by runs up to a fifth more or less.
    arrays = 11.5 if largest.rank(rank) == largest.full_rank else 9.5
    return Stage("export", parts, machine.process + arrays * op.FLOAT32 * largest.values, disk=shape.bytes)
