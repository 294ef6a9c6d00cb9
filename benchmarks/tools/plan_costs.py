"""Count what a study's jobs do, in bytes, products and tokens, and divide by a machine's rates.

A pass over the model takes as long as its products or as reading its weights once, whichever is longer, and
`layer` seconds a decoder layer besides. Counted are the language model, the vision tower's matrices,
attention between tokens, gates, singular value decompositions and files. Left out are attention inside the
tower, norms and activations, the preparation of pictures, scoring beyond a job's start, updates of the tails
that truncated spectra have, and the memory of a process beside the model (about 1 GB).
"""

import math
from dataclasses import dataclass

from benchmarks.tools.plan_machines import Machine
from benchmarks.tools.plan_model import BYTES, Model

LONGEST = (
    3.5  # times the mean: a batch's longest answer (the 95th percentile of reasoning answers is 3.4 times)
)
PASSES = 8  # reads or writes of every value in fp32 that a merge takes


@dataclass(frozen=True)
class Cost:
    """What something takes: seconds, multiply-adds, generated tokens."""

    seconds: float = 0.0
    products: float = 0.0
    tokens: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds + other.seconds, self.products + other.products, self.tokens + other.tokens)

    def __mul__(self, times: float) -> "Cost":
        return Cost(self.seconds * times, self.products * times, self.tokens * times)


@dataclass(frozen=True)
class Questions:
    """Questions that are answered greedily in batches, with a picture of so many patches each (0: none).

    `prompt`, `answer`: tokens of one, on average; `limit`: of the longest answer that is allowed.
    """

    count: int
    batch: int
    patches: int
    prompt: int
    answer: int
    limit: int

    @property
    def tokens(self) -> int:
        """Tokens of a batch of prompts with their answers."""
        return min(self.batch, self.count) * (self.prompt + self.answer - 1)


@dataclass(frozen=True)
class Counter:
    """Cost of a model's work on a machine, its weights in `dtype`; `rank`, `solver`, `stored`: of spectra."""

    model: Model
    machine: Machine
    dtype: str = "float32"
    rank: int | None = None
    solver: str = "auto"
    stored: str = "float32"

    @property
    def weights(self) -> int:
        """Bytes that a pass over the language model and its head reads."""
        return BYTES[self.dtype] * (self.model.body + self.model.head)

    def through(self, products: float, moved: float, layers: int | None = None) -> Cost:
        """Cost of a pass of so many multiply-adds and bytes, over the model's layers or so many."""
        bandwidth = self.machine.sustained * self.machine.bandwidth
        launched = (self.model.layers if layers is None else layers) * self.machine.layer
        return Cost(max(2 * products / self.machine.rate(self.dtype), moved / bandwidth) + launched, products)

    def load(self) -> Cost:
        """Cost of reading V."""
        return Cost(self.model.bytes / self.machine.disk)

    def see(self, pictures: float, patches: int) -> Cost:
        """Cost of the vision tower over pictures, each by itself."""
        tower, layers = self.model.tower, self.model.tower_layers
        one = self.through(patches * tower, BYTES[self.dtype] * tower, layers)
        return one * pictures if patches else Cost()

    def read(self, sequences: float, length: float, heads: float) -> Cost:
        """Cost of the language model over whole sequences at once, with logits at `heads` positions."""
        model = self.model
        attention = 2 * sequences * length**2 * model.queries * model.layers
        return self.through(sequences * length * model.body + heads * model.head + attention, self.weights)

    def write(self, sequences: float, prompt: float, answer: float, limit: int) -> Cost:
        """Cost of the answers' tokens but the first, of which every one reads the weights and the cache.

        The batch shrinks as answers end: the longest has LONGEST times the mean, or `limit` tokens.
        """
        model, longest = self.model, min(limit, math.ceil(LONGEST * answer))
        running = sequences * answer / longest
        moved = self.weights + running * model.cache(self.dtype) * (prompt + longest / 2)
        step = self.through(running * (model.body + model.head), moved)
        return step * (longest - 1) + Cost(tokens=sequences * answer)

    def answer(self, asked: Questions) -> dict[str, Cost]:
        """Cost of seeing, reading and answering questions with a loaded model."""
        batch = min(asked.batch, asked.count)
        return {
            "see": self.see(asked.count, asked.patches),
            "read": self.read(batch, asked.prompt, batch) * (asked.count / batch),
            "write": self.write(batch, asked.prompt, asked.answer, asked.limit) * (asked.count / batch),
        }

    def svd(self) -> Cost:
        """Cost of decomposing every matrix with the solver that the code itself takes for it."""
        from frism.spectra.costs import COSTS, PRODUCTS, choose_solver, estimate_seconds

        device = self.machine.device
        solver = self.solver if self.solver in COSTS[device] else "auto"
        seconds = sum(
            estimate_seconds(choose_solver(solver, shape, self.rank, device), shape, self.rank, device)
            for shape in self.model.matrices
        )
        return Cost(seconds * PRODUCTS[device] / self.machine.rate("float32"))

    def spectra_bytes(self) -> int:
        """Bytes of the spectra's files but their headers: U, V, and the singular values and tails in fp32."""
        kept = self.model.directions(self.rank)
        tails = sum(k < min(shape) for k, shape in zip(kept, self.model.matrices, strict=True))
        return BYTES[self.stored] * self.model.factors(self.rank) + 4 * (sum(kept) + tails)

    def merge(self, sources: int, *, on_spectrum: bool, svds: int) -> Cost:
        """Cost of filling a loaded model with a merge of so many checkpoints."""
        model, machine = self.model, self.machine
        seconds = sources * model.merged_bytes / machine.disk
        seconds += PASSES * BYTES["float32"] * model.merged / (machine.sustained * machine.bandwidth)
        if on_spectrum:
            kept = zip(model.directions(self.rank), model.matrices, strict=True)
            products = sum(k * rows * columns for k, (rows, columns) in kept)
            rebuilt = Cost(2 * products / machine.rate("float32"), products)
            seconds += self.spectra_bytes() / machine.disk
        return Cost(seconds) + self.svd() * svds + (rebuilt if on_spectrum else Cost())

    def teach(self, asked: Questions) -> Cost:
        """Cost of the teacher, V itself: it sees, answers and scores each calibration question once."""
        batch = min(asked.batch, asked.count)
        scored = self.read(batch, asked.prompt + asked.answer - 1, batch * asked.answer)
        return sum(self.answer(asked).values(), scored * (asked.count / batch))

    def step(self, asked: Questions, passes: int) -> Cost:
        """Cost of one batch through gated layers: forward alone (1), and backward (2), computed again (3).

        Each matrix goes the way that the code takes: with a side branch, or merged anew in the pass.
        """
        from frism.gates.branch import MAX_KEPT_ENTRIES, rebuilding_pays

        model, tokens = self.model, asked.tokens
        products = passes * (tokens * model.body + asked.batch * asked.answer * model.head)
        products += passes * 2 * tokens * (asked.prompt + asked.answer) * model.queries * model.layers
        for k, (rows, columns) in zip(model.directions(self.rank), model.matrices, strict=True):
            if rebuilding_pays(rows, columns, tokens):
                rebuilt = 1 if rows * columns <= MAX_KEPT_ENTRIES else passes
                products += rebuilt * k * rows * columns + (passes > 1) * tokens * k * (rows + columns)
            else:
                products += passes * tokens * k * (rows + columns)
        factors = BYTES[self.dtype] * model.factors(self.rank)
        cost = self.through(products, passes * (self.weights + factors), passes * model.layers)
        if self.streamed() and self.machine.link is not None:
            cost += Cost(passes * factors / self.machine.link)
        return cost

    def fit(self, asked: Questions, steps: int, held_out: int, check_every: int) -> Cost:
        """Cost of so many optimiser steps, and of a check on held-out questions every so many of them."""
        checks = math.ceil(steps / check_every) * held_out / asked.batch
        passes = 3 if self.recomputed(asked) else 2
        return self.step(asked, passes) * steps + self.step(asked, 1) * checks

    def recomputed(self, asked: Questions) -> bool:
        """Whether layers are computed again on the way back: the code's own rule."""
        import torch

        from frism.gates.recomputation import recomputation_pays

        layers = self.model.text.to(getattr(torch, self.dtype)).layers
        return recomputation_pays(
            layers, asked.tokens, torch.device(self.machine.device), self.machine.memory
        )

    def streamed(self) -> bool:
        """Whether the factors lie in main memory: they take more than the code's share of the GPU's rest."""
        from frism.gates.placement import SHARE

        size = BYTES[self.dtype]
        free = self.machine.memory - size * self.model.values
        return self.machine.device == "cuda" and size * self.model.factors(self.rank) > SHARE * free

    def memory(self, asked: Questions, *, learning: bool = False) -> float:
        """Bytes where the model runs: weights, cache and one layer's activations.

        `learning`: factors, what a step keeps for its way back, and six arrays of logits in fp32 besides.
        """
        model, size = self.model, BYTES[self.dtype]
        layer = asked.tokens * sum(sum(shape) for shape in model.matrices) / model.layers
        held = size * (model.values + layer) + asked.tokens * model.cache(self.dtype)
        if learning:
            again = self.recomputed(asked)
            kept = model.layers * (asked.tokens * model.hidden if again else 2 * layer)
            near = 2 / model.layers if self.streamed() else 1
            held += size * (kept + near * model.factors(self.rank))
            held += 6 * 4 * asked.batch * asked.answer * model.head / model.hidden
        return held
