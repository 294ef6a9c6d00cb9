"""Count what a study's analyses do: interventions times answers, and questions that are traced.

What is added to answering and reading: weights that are taken out and put back, the decompositions of a
merge's change, attention weights in the plain way, hidden states in host memory. An answer under an
intervention is taken to be as long as any other; a model that babbles on fills its limit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from benchmarks.registry import lookup
from benchmarks.study.analysis_settings import AnalysisSettings
from benchmarks.tools.plan_costs import PlannedCost, QuestionGroup
from benchmarks.tools.plan_model import BYTES

if TYPE_CHECKING:
    from benchmarks.analyses.measuring.discovery import Analysis
    from benchmarks.tools.plan_stages import Planner

AXES = ("perception", "reasoning")
TILES, DRIFT = "tile_dependence", "hidden_drift"
PAINTED = 8  # pictures of a question of tile_dependence: two for each of 3.5 tiles, and the picture itself
FP32 = 4
Parts = dict[str, PlannedCost]


@dataclass(frozen=True)
class PlannedJob:
    """Holds one job's cost by part, and bytes.

    Attributes:
        device: where the model runs. host: beside it, in main memory. disk: of its files.
        scratch: of what it keeps on the disk while it runs.
    """

    parts: Parts
    device: float = 0.0
    host: float = 0.0
    disk: float = 0.0
    scratch: float = 0.0


class AnalysisCounter:
    """Counts the jobs of a study's analyses on a machine.

    Args:
        planner: of the study.
    """

    def __init__(self, planner: "Planner") -> None:
        self.planner, self.counter, self.model = planner, planner.counter, planner.model
        self.size = BYTES[self.counter.dtype]

    def list_jobs(self) -> Iterator[tuple[str, PlannedJob]]:
        """Yield the job of every entry and variant, by the entry's name.

        Raises UserError for an unknown analysis or parameter.
        """
        from benchmarks.analyses.measuring import discovery

        for name, entry in self.planner.study.analyses.items():
            analysis = discovery.find(entry.analysis or name)
            combinations = analysis.expand(entry.params)
            asked = self.list_questions(entry)
            for variant in self._list_variants(entry, analysis.merges):
                if analysis.intervene is not None:
                    yield name, self.count_interventions(analysis, combinations, asked, variant)
                elif analysis.trace is not None:
                    yield name, self.count_traces(analysis, asked, variant)
                else:  # reads what is stored
                    yield name, PlannedJob({"start": PlannedCost(self.planner.machine.start)})

    def list_questions(self, entry: AnalysisSettings) -> list[QuestionGroup]:
        """List the questions of an entry by benchmark, as they are drawn from dev."""
        found = []
        for benchmark in self.planner.study.benchmarks:
            definition = lookup.find(benchmark)
            if definition.axis not in AXES or (entry.benchmarks and definition.name not in entry.benchmarks):
                continue
            group = self.planner.questions(benchmark, "dev")
            if group is not None:
                found.append(replace(group, count=min(group.count, entry.questions), samples=1))
        return found

    def count_interventions(
        self, analysis: "Analysis", combinations: list[dict[str, Any]], asked: Sequence[QuestionGroup],
        variant: str,
    ) -> PlannedJob:  # fmt: skip
        """Count one job that answers all questions under every intervention."""
        ground: Any = SimpleNamespace(layers=self.model.layers, touched=[], calibration="", memo={})
        steps = analysis.list_interventions(ground, combinations)
        parts = self._start(variant)
        for group in asked:
            for name, cost in self.counter.answer(group).items():
                # Pictures are seen once: what the tower gives is kept.
                times = 1 if name == "see" else len(steps)
                parts[name] = parts.get(name, PlannedCost()) + cost * times
        spectral = [step for step in steps if step.unit == "spectrum"]
        swapped = sum(self._share(step) for step in steps)
        parts["swap"] = self._swap(swapped)
        if spectral:
            parts["svd"] = self.counter.svd()
            factors = FP32 * self.model.factors(None)
            products = sum(rows * columns * min(rows, columns) for rows, columns in self.model.matrices)
            sweeps = len(spectral) / max(1, len({step.first for step in spectral}))
            whole = self.counter.run_pass(products, factors + 3 * FP32 * self.model.merged)
            files = PlannedCost(factors * (1 + sweeps) / self.planner.machine.disk)
            parts["pieces"] = whole * sweeps + files
        if any(step.action == "mean" for step in steps):
            picture = self.planner.fit({"batch": 1})[0]
            one = self.counter.see(1, picture.patches) + self.counter.read(1, picture.prompt, 1)
            parts["means"] = one * 64
        # V's and the merge's tensors, where a change is put in; else what one block overwrites.
        kept = 2.0 if any(step.action == "in" for step in steps) else max(map(self._share, steps))
        host = kept * self.size * self.model.merged
        lines = len(steps) * sum(group.count * (250 + 5 * group.answer) for group in asked)
        scratch = FP32 * self.model.factors(None) if spectral else 0
        return PlannedJob(parts, max(map(self.counter.memory, asked), default=0.0), host, lines, scratch)

    def count_traces(self, analysis: "Analysis", asked: Sequence[QuestionGroup], variant: str) -> PlannedJob:
        """Count one job that reads all questions with an answer."""
        counter, model, parts = self.counter, self.model, self._start(variant)
        questions, longest = sum(group.count for group in asked), 0
        for group in asked:
            length = group.prompt + group.answer
            longest = max(longest, group.prompt + min(group.limit, 3 * group.answer))
            seen, read = counter.see(1, group.patches), counter.read(1, length, 1)
            attention = counter.run_pass(0, model.layers * self.attention_bytes(length))
            one: Parts = {"see": seen, "read": read, "attention": attention}
            if analysis.name == DRIFT:
                one = {"see": seen * 2, "read": read * 2, "copy": self._copy(2 * self._states(length))}
            elif analysis.name == TILES:
                painted = counter.see(PAINTED, group.patches) + counter.read(
                    PAINTED, length, PAINTED * group.answer
                )
                one |= {"painted": painted}
            for name, cost in one.items():
                parts[name] = parts.get(name, PlannedCost()) + cost * group.count
        device = self.size * (model.values + 2 * longest * sum(map(sum, model.matrices)) / model.layers)
        if analysis.name == DRIFT:
            swaps = -(-questions // analysis.at_once)
            parts["swap"] = self._swap(swaps)
            held = min(analysis.at_once, questions) * self._states(longest)
            return PlannedJob(parts, device + self._states(longest), held + self.size * model.merged)
        return PlannedJob(parts, device + self.attention_bytes(longest))

    def attention_bytes(self, length: int) -> float:
        """Return the bytes of one layer's attention weights over so many tokens, as they come and go.

        Scores, scores with the mask and the weights in the model's type, and the softmax in fp32.
        """
        return self.model.heads * length**2 * (3 * self.size + FP32)

    def _states(self, length: int) -> float:
        """Return the bytes of the hidden states of so many tokens before, between and behind all layers."""
        return (self.model.layers + 1) * length * self.model.hidden * self.size

    def _start(self, variant: str) -> Parts:
        """Count what a job does before it asks anything."""
        from frism.method.discovery import find

        machine, counter = self.planner.machine, self.counter
        parts = {"start": PlannedCost(machine.start), "load": counter.load()}
        method = self.planner.study.variants[variant].method
        if method is not None:
            found = find(method)
            parts["merge"] = counter.merge(
                len({*found.reads, "vlm"}), on_spectrum="spectrum" in found.needs, svds=found.svds
            )
        return parts

    def _share(self, step: Any) -> float:
        """Return the share of the merged tensors that an intervention overwrites."""
        if step.unit == "pictures" or step.action in ("intact", "mean"):
            return 0.0
        if step.unit == "spectrum" or step.action == "bare":
            return 1.0
        return float((step.last - step.first + 1) / self.model.layers)

    def _swap(self, times: float) -> PlannedCost:
        """Return the cost of overwriting all merged tensors so many times with V's, and of restoring them."""
        size, machine = self.size * self.model.merged, self.planner.machine
        read = self.model.merged_bytes / machine.disk + FP32 * self.model.merged / machine.bandwidth
        return (PlannedCost(read) + self._copy(3 * size)) * times

    def _copy(self, size: float) -> PlannedCost:
        """Return the cost of taking so many bytes from the model to main memory, or back."""
        machine = self.planner.machine
        return PlannedCost(size / (machine.link or machine.bandwidth / 2))

    def _list_variants(self, entry: AnalysisSettings, merges: bool) -> Sequence[str]:
        study = self.planner.study
        return entry.variants or [
            name for name, variant in study.variants.items()
            if not (merges and variant.method in (None, "vlm"))
        ]  # fmt: skip


def count_analyses(planner: "Planner") -> tuple[int, Parts, float, float, tuple[str, ...]]:
    """Count all jobs of a study's analyses: how many, parts, largest memory, disk, and what is worth a note.

    Raises UserError for an unknown analysis or parameter.
    """
    total: Parts = {}
    jobs = [job for _, job in AnalysisCounter(planner).list_jobs()]
    for job in jobs:
        for part, cost in job.parts.items():
            total[part] = total.get(part, PlannedCost()) + cost
    on_cpu = planner.machine.device == "cpu"
    largest = max((job.device + job.host * on_cpu for job in jobs), default=0.0)
    beside = max((job.host for job in jobs), default=0.0)
    notes = () if on_cpu or not beside else (f"{beside / 1e9:.3g} GB of main memory",)
    # Directions are deleted when a job ends; jobs that need a GPU run one after the other.
    disk = sum(job.disk for job in jobs) + max((job.scratch for job in jobs), default=0.0)
    return len(jobs), total, largest, disk, notes
