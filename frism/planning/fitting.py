"""What learning gates costs: teacher, steps and tails, in seconds and bytes. Pure functions."""

from frism.planning import operations as op
from frism.planning.machines import Machine
from frism.planning.passes import answering, attention, between, forward, loading, read, seeing, widening
from frism.planning.shapes import Shape
from frism.planning.work import PLAIN, FitWork, Precision, Stage

RESIDENT = 0.5  # of the GPU's free memory may hold factors, of the rest what tails need
NOTABLE = 1e9  # bytes of a fit's own files that a plan speaks of
RECOMPUTE = 0.125  # of the memory may hold a step's activations
FIRST = ("q_proj", "k_proj", "v_proj")  # of the first layer: nothing before them learns


def fit(
    shape: Shape, work: FitWork, machine: Machine, precision: Precision = PLAIN, *, cached: bool = False
) -> Stage:
    """Learn gates: load V, let it see the pictures and answer once, then steps through gated layers.

    Answers are taken to have `answer_tokens` tokens each; questions that no step would come to are not asked.
    Layers are recomputed in the backward pass where `frism.gates.recomputation` finds that it pays.
    """
    text, dtype = shape.text, precision.dtype
    prompt = work.patches // shape.tower.merge + work.text_tokens
    length, answer = prompt + work.answer_tokens - 1, work.answer_tokens
    batches = min(-(-work.questions // work.batch), work.steps)
    asked, tokens = min(work.questions, batches * work.batch), work.batch * length
    stored = op.BYTES[work.spectrum.dtype] * text.factor_values(work.spectrum.rank)
    again = recomputed(shape, machine, dtype, tokens)
    kept = 2 * shape.stored * text.matrix_values if tails_kept(shape, work, machine, dtype) else 0.0
    parts = {
        "start": machine.start + machine.start_model,
        "load": loading(shape, machine, cached=cached),
        "teacher": asked * seeing(shape, machine, dtype, work.patches)
        + batches * answering(shape, machine, dtype, work.batch, prompt, answer)
        + batches * forward(shape, machine, dtype, work.batch, length, 0),
        "factors": stored / read(machine, cached),
        "steps": work.steps * step(shape, work, machine, dtype, length, again)
        + tail_steps(shape, work, machine, kept > 0),
    }
    weights = op.BYTES[dtype] * shape.values
    taught = asked * (length + answer) * text.hidden * op.BYTES[dtype]
    held = weights + activation_bytes(shape, dtype, tokens, work, again)
    held += 6 * op.FLOAT32 * work.batch * answer * text.vocabulary
    held += kept
    disk = op.FLOAT32 * (text.gates(work.spectrum.rank) + 5 * work.steps)
    notes = [f"its work folder holds {taught / 1e9:.2g} GB meanwhile"] if taught > NOTABLE else []
    if machine.device != "cuda":
        # Factors in fp32 stay mapped files, which the system may drop; others are widened.
        factors = 0.0 if work.spectrum.dtype == "float32" else 2 * stored
        return Stage("fit", parts, machine.process_model + held + factors, 0.0, disk, *notes)
    factors = op.BYTES[dtype] * text.factor_values(work.spectrum.rank)
    resident = precision.factors == "resident" or (
        precision.factors == "auto" and factors <= RESIDENT * ((machine.device_memory or 0.0) - weights)
    )
    if not resident:
        notes.append("factors streamed from page-locked memory")
    near = factors if resident else 2 * factors / text.layers  # the layer at work, and the next on its way
    if kept:
        notes.append("R and B stay on the GPU for the tails")
    return Stage(
        "fit", parts, machine.process_model + (0.0 if resident else factors), held + near, disk,
        "; ".join(notes),
    )  # fmt: skip


def step(shape: Shape, work: FitWork, machine: Machine, dtype: str, length: float, again: bool) -> float:
    """Seconds of one optimiser step over a batch of sequences of so many tokens.

    Frozen layers run forward (twice where they are recomputed) and backward to their inputs; nothing before
    the first layer learns, so that its queries, keys and values stop at their gates.
    """
    text, tokens, passes = shape.text, work.batch * length, 3 if again else 2
    wide = dtype if machine.device == "cuda" else "float32"
    rate = machine.matmul_rate(wide, tokens)
    seconds = op.linear(machine, dtype, tokens, text.matrix_values, passes)
    for place, matrix in enumerate(text.matrices):
        rank = matrix.rank(work.spectrum.rank)
        added = op.gating_work(matrix, rank, tokens)[1] * passes / 2
        seconds += text.layers * added / rate
        if place < len(FIRST):
            seconds -= (
                2
                * tokens
                * (matrix.values / machine.matmul_rate(dtype, tokens) + rank * matrix.columns / rate)
            )
    seconds += op.linear(machine, dtype, work.batch * work.answer_tokens, text.head_values, 3)
    seconds += op.elementwise(machine, 30 * op.FLOAT32 * work.batch * work.answer_tokens * text.vocabulary)
    seconds += (passes + 1) * attention(shape, machine, dtype, work.batch, length)
    seconds += (passes + 1) * between(shape, machine, dtype, tokens)
    return seconds + (passes + 1) * text.layers * machine.overhead


def tail_steps(shape: Shape, work: FitWork, machine: Machine, kept: bool) -> float:
    """Seconds of all updates of the tails: tau made for the gradient and for the weight that it goes into.

    `kept`: of R and B on the GPU; else of their files.
    """
    text, tokens = shape.text, work.batch * (work.patches // shape.tower.merge + work.text_tokens)
    updates = -(-work.steps // max(work.tail_every, 1))
    seconds = 0.0
    for matrix in text.matrices:
        if matrix.rank(work.spectrum.rank) < matrix.full_rank:
            tau = widening(machine, matrix.values, host=not kept)
            tau += 0.0 if kept else 2 * shape.stored * matrix.values / machine.read_cached
            merged = (
                tau
                + op.elementwise(machine, 20 * matrix.values)
                + op.FLOAT32 * matrix.values / machine.read_cached
            )
            parked = op.FLOAT32 * matrix.values / machine.read_cached  # once: V's own bits are put aside
            gradient = tau + 2 * tokens * matrix.values / machine.matmul_rate("float32", tokens)
            seconds += parked + updates * (merged + gradient)
    return text.layers * seconds


def tails_kept(shape: Shape, work: FitWork, machine: Machine, dtype: str) -> bool:
    """Whether R and B stay on a GPU for the tails' sake: `frism.gates.task_vectors.TaskVectors`."""
    text, rank = shape.text, work.spectrum.rank
    if machine.device != "cuda" or not any(m.rank(rank) < m.full_rank for m in text.matrices):
        return False
    taken = op.BYTES[dtype] * (shape.values + text.factor_values(rank))
    return 2 * shape.stored * text.matrix_values <= RESIDENT * ((machine.device_memory or 0.0) - taken)


def recomputed(shape: Shape, machine: Machine, dtype: str, tokens: float) -> bool:
    """Whether layers are computed again in the backward pass: frism.gates.recomputation."""
    size = sum(matrix.rows + matrix.columns for matrix in shape.text.matrices) * op.BYTES[dtype]
    memory = machine.device_memory if machine.device == "cuda" else machine.memory
    return shape.text.layers * tokens * size > RECOMPUTE * (memory or machine.memory)


def activation_bytes(shape: Shape, dtype: str, tokens: float, work: FitWork, again: bool) -> float:
    """What a step keeps for its backward pass: every layer's, or its input and one layer's at a time."""
    text = shape.text
    kept = sum(matrix.rows + matrix.rank(work.spectrum.rank) for matrix in text.matrices)
    layer = tokens * (kept + 8 * text.hidden + 3 * text.intermediate) * op.BYTES[dtype]
    if again:
        return layer + text.layers * tokens * text.hidden * op.BYTES[dtype]
    return text.layers * layer
