"""Seconds that passes of a model and its files take, counted from shapes. Pure functions."""

from frism.planning import operations as op
from frism.planning.machines import Machine
from frism.planning.shapes import Shape


def seeing(shape: Shape, machine: Machine, dtype: str, patches: int) -> float:
    """Seconds of the vision tower and projector over one picture."""
    if not patches:
        return 0.0
    tower = shape.tower
    layers = op.linear(machine, dtype, patches, tower.layers * tower.layer_values)
    scores = 4 * tower.layers * patches**2 * tower.hidden / machine.matmul_rate(dtype, patches)
    wide = tower.merge * tower.hidden
    projector = op.linear(machine, dtype, patches / tower.merge, wide * (wide + shape.text.hidden))
    return layers + scores + projector + tower.layers * machine.overhead


def forward(shape: Shape, machine: Machine, dtype: str, batch: float, length: float, heads: float) -> float:
    """Seconds of the language model over `batch` sequences, logits at `heads` positions in all."""
    text, tokens = shape.text, batch * length
    seconds = op.linear(machine, dtype, tokens, text.matrix_values)
    seconds += op.linear(machine, dtype, heads, text.head_values)
    seconds += attention(shape, machine, dtype, batch, length) + between(shape, machine, dtype, tokens)
    return seconds + text.layers * machine.overhead


def answering(
    shape: Shape, machine: Machine, dtype: str, batch: float, prompt: float, answer: float, longest: float = 0
) -> float:
    """Seconds of one batch's greedy answers: the prompts at once, then a token of every answer at a time."""
    text, longest = shape.text, max(answer, longest)
    first = forward(shape, machine, dtype, batch, prompt, batch)
    running = max(batch * answer / longest, 1.0)
    token = op.linear(machine, dtype, running, text.matrix_values + text.head_values)
    cached = 2 * text.layers * text.kv_heads * text.head_dim * op.BYTES[dtype] * (prompt + longest / 2)
    each = token + op.elementwise(machine, running * cached) + text.layers * machine.overhead
    return first + (longest - 1) * each


def attention(shape: Shape, machine: Machine, dtype: str, batch: float, length: float) -> float:
    """Seconds of scores and weighted values in every layer, all positions against all."""
    text = shape.text
    work = 4 * batch * length**2 * text.heads * text.head_dim * text.layers
    return work / machine.matmul_rate(dtype, length)


def between(shape: Shape, machine: Machine, dtype: str, tokens: float) -> float:
    """Seconds of norms, activations, rotations and sums between the matrices, in every layer."""
    text = shape.text
    moved = (14 * text.hidden + 3 * text.intermediate) * 2 * op.BYTES[dtype]
    return op.elementwise(machine, text.layers * tokens * moved)


def loading(shape: Shape, machine: Machine, *, cached: bool = False) -> float:
    """Seconds until V's stored values are parameters."""
    seconds = shape.bytes / machine.load
    return seconds if cached else max(seconds, shape.bytes / machine.read)


def read(machine: Machine, cached: bool) -> float:
    """Bytes a second out of files."""
    return machine.read_cached if cached else machine.read


def widening(machine: Machine, values: float, *, host: bool = False) -> float:
    """Seconds to make a task vector in fp32 of two stored tensors, each looked through for NaN."""
    return 32 * values / (machine.host_elementwise if host else machine.elementwise)
