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

# A batch's longest answer against the mean; the 95th percentile of reasoning answers is 3.4 times the mean.
LONGEST = 3.5
PASSES = 8  # reads or writes of every value in fp32 that a merge takes


@dataclass(frozen=True)
class PlannedCost:
    """Holds what something takes: seconds, multiply-adds, generated tokens."""

    seconds: float = 0.0
    products: float = 0.0
    tokens: float = 0.0

    def __add__(self, other: "PlannedCost") -> "PlannedCost":
        return PlannedCost(
            self.seconds + other.seconds, self.products + other.products, self.tokens + other.tokens
        )

    def __mul__(self, times: float) -> "PlannedCost":
        return PlannedCost(self.seconds * times, self.products * times, self.tokens * times)


@dataclass(frozen=True)
class QuestionGroup:
    """Describes questions answered in batches, with a picture of so many patches each (0: none).

    `prompt`, `answer`: tokens of one, on average; `limit`: of the longest answer that is allowed; `samples`:
    answers per question, for which its prompt is read once. `batch` counts answers.
    """

    count: int
    batch: int
    patches: int
    prompt: int
    answer: int
    limit: int
    samples: int = 1

    @property
    def answers(self) -> int:
        """Return how many answers there are."""
        return self.count * self.samples

    @property
    def tokens(self) -> int:
        """Return the tokens of a batch of prompts with their answers."""
        return min(self.batch, self.answers) * (self.prompt + self.answer - 1)


@dataclass(frozen=True)
class Counter:
    """Counts the cost of a model's work on a machine.

    `dtype`: of the weights; `rank`, `solver`, `stored`: of spectra.
    """

    model: Model
    machine: Machine
    dtype: str = "float32"
    rank: int | None = None
    solver: str = "auto"
    stored: str = "float32"

    @property
    def weights(self) -> int:
        """Return the bytes that a pass over the language model and its head reads."""
        return BYTES[self.dtype] * (self.model.body + self.model.head)

    def run_pass(self, products: float, moved: float, layers: int | None = None) -> PlannedCost:
        """Return the cost of a pass of so many multiply-adds and bytes, over all layers or so many."""
        bandwidth = self.machine.sustained * self.machine.bandwidth
        launched = (self.model.layers if layers is None else layers) * self.machine.layer
        return PlannedCost(
            max(2 * products / self.machine.rate(self.dtype), moved / bandwidth) + launched, products
        )

    def load(self) -> PlannedCost:
        """Return the cost of reading V."""
        return PlannedCost(self.model.bytes / self.machine.disk)

    def see(self, pictures: float, patches: int) -> PlannedCost:
        """Return the cost of the vision tower over pictures, each by itself."""
        tower, layers = self.model.tower, self.model.tower_layers
        one = self.run_pass(patches * tower, BYTES[self.dtype] * tower, layers)
        return one * pictures if patches else PlannedCost()

    def read(self, sequences: float, length: float, heads: float) -> PlannedCost:
        """Return the cost of reading whole sequences at once, with logits at `heads` positions."""
        model = self.model
        attention = 2 * sequences * length**2 * model.queries * model.layers
        return self.run_pass(sequences * length * model.body + heads * model.head + attention, self.weights)

    def write(self, sequences: float, prompt: float, answer: float, limit: int) -> PlannedCost:
        """Return the cost of the answers' tokens but the first; each one reads the weights and the cache.

        The batch shrinks as answers end: the longest has LONGEST times the mean, or `limit` tokens.
        """
        model, longest = self.model, min(limit, math.ceil(LONGEST * answer))
        running = sequences * answer / longest
        moved = self.weights + running * model.cache(self.dtype) * (prompt + longest / 2)
        step = self.run_pass(running * (model.body + model.head), moved)
        return step * (longest - 1) + PlannedCost(tokens=sequences * answer)

    def answer(self, questions: QuestionGroup) -> dict[str, PlannedCost]:
        """Return the cost of seeing, reading and answering questions with a loaded model."""
        batch = min(questions.batch, questions.answers)
        prompts = max(1, batch / questions.samples)
        return {
            "see": self.see(questions.count, questions.patches),
            "read": self.read(prompts, questions.prompt, prompts) * (questions.answers / batch),
            "write": self.write(batch, questions.prompt, questions.answer, questions.limit)
            * (questions.answers / batch),
        }

    def svd(self) -> PlannedCost:
        """Return the cost of decomposing every matrix with the solver that the code itself takes for it."""
        from frism.spectra.costs import COSTS, PRODUCTS, choose_solver, estimate_seconds

        device = self.machine.device
        solver = self.solver if self.solver in COSTS[device] else "auto"
        seconds = sum(
            estimate_seconds(choose_solver(solver, shape, self.rank, device), shape, self.rank, device)
            for shape in self.model.matrices
        )
        return PlannedCost(seconds * PRODUCTS[device] / self.machine.rate("float32"))

    def spectra_bytes(self) -> int:
        """Return the bytes of the spectra's files: U, V, singular values and tails (fp32), no headers."""
        ranks = self.model.directions(self.rank)
        tails = sum(k < min(shape) for k, shape in zip(ranks, self.model.matrices, strict=True))
        return BYTES[self.stored] * self.model.factors(self.rank) + 4 * (sum(ranks) + tails)

    def merge(self, sources: int, *, on_spectrum: bool, svds: int) -> PlannedCost:
        """Return the cost of filling a loaded model with a merge of so many checkpoints."""
        model, machine = self.model, self.machine
        seconds = sources * model.merged_bytes / machine.disk
        seconds += PASSES * BYTES["float32"] * model.merged / (machine.sustained * machine.bandwidth)
        if on_spectrum:
            ranks = zip(model.directions(self.rank), model.matrices, strict=True)
            products = sum(k * rows * columns for k, (rows, columns) in ranks)
            rebuilt = PlannedCost(2 * products / machine.rate("float32"), products)
            seconds += self.spectra_bytes() / machine.disk
        return PlannedCost(seconds) + self.svd() * svds + (rebuilt if on_spectrum else PlannedCost())

    def teach(self, questions: QuestionGroup) -> PlannedCost:
        """Return the cost of the teacher V: it sees, answers and scores each calibration question once."""
        batch = min(questions.batch, questions.count)
        scored = self.read(batch, questions.prompt + questions.answer - 1, batch * questions.answer)
        return sum(self.answer(questions).values(), scored * (questions.count / batch))

    def step(self, questions: QuestionGroup, passes: int) -> PlannedCost:
        """Return the cost of one batch through gated layers: forward (1), backward (2), computed again (3).

        Each matrix goes the way that the code takes: with a side branch, or merged anew in the pass.
        """
        from frism.gates.branch import MAX_KEPT_ENTRIES, rebuilding_pays

        model, tokens = self.model, questions.tokens
        products = passes * (tokens * model.body + questions.batch * questions.answer * model.head)
        products += passes * 2 * tokens * (questions.prompt + questions.answer) * model.queries * model.layers
        for k, (rows, columns) in zip(model.directions(self.rank), model.matrices, strict=True):
            if rebuilding_pays(rows, columns, tokens):
                rebuilt = 1 if rows * columns <= MAX_KEPT_ENTRIES else passes
                products += rebuilt * k * rows * columns + (passes > 1) * tokens * k * (rows + columns)
            else:
                products += passes * tokens * k * (rows + columns)
        factors = BYTES[self.dtype] * model.factors(self.rank)
        cost = self.run_pass(products, passes * (self.weights + factors), passes * model.layers)
        if self.streams() and self.machine.link is not None:
            cost += PlannedCost(passes * factors / self.machine.link)
        return cost

    def fit(self, questions: QuestionGroup, steps: int, held_out: int, check_every: int) -> PlannedCost:
        """Return the cost of optimiser steps, and of a check on held-out questions every so many of them."""
        checks = math.ceil(steps / check_every) * held_out / questions.batch
        passes = 3 if self.recomputes(questions) else 2
        return self.step(questions, passes) * steps + self.step(questions, 1) * checks

    def recomputes(self, questions: QuestionGroup) -> bool:
        """Return whether layers are computed again on the way back: the code's own rule."""
        import torch

        from frism.gates.recomputation import recomputation_pays

        layers = self.model.text.to(getattr(torch, self.dtype)).layers
        return recomputation_pays(
            layers, questions.tokens, torch.device(self.machine.device), self.machine.memory
        )

    def streams(self) -> bool:
        """Return whether the factors lie in main memory: they exceed the code's share of the GPU's rest."""
        from frism.gates.placement import SHARE

        size = BYTES[self.dtype]
        free = self.machine.memory - size * self.model.values
        return self.machine.device == "cuda" and size * self.model.factors(self.rank) > SHARE * free

    def memory(self, questions: QuestionGroup, *, learning: bool = False) -> float:
        """Return the bytes where the model runs: weights, cache and one layer's activations.

        `learning`: factors, what a step keeps for its way back, and six arrays of logits in fp32 besides.
        """
        model, size = self.model, BYTES[self.dtype]
        layer = questions.tokens * sum(sum(shape) for shape in model.matrices) / model.layers
        total = size * (model.values + layer) + questions.tokens * model.cache(self.dtype)
        if learning:
            again = self.recomputes(questions)
            activations = model.layers * (questions.tokens * model.hidden if again else 2 * layer)
            near = 2 / model.layers if self.streams() else 1
            total += size * (activations + near * model.factors(self.rank))
            total += 6 * 4 * questions.batch * questions.answer * model.head / model.hidden
        return total
