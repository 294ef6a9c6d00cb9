"""A whole study's cost: every stage as often as it runs, with what it takes in time, memory and disk."""

from collections.abc import Sequence
from dataclasses import dataclass

from frism.planning import fitting, stages
from frism.planning.machines import Machine
from frism.planning.shapes import Shape
from frism.planning.work import PLAIN, AnswerWork, FitWork, Precision, SpectrumWork, Stage


@dataclass(frozen=True)
class Merge:
    """What filling a model with a variant takes, as `stages.merging` wants it."""

    reads: int
    passes: float
    on_spectrum: bool = False
    svds: int = 0


@dataclass(frozen=True)
class VariantWork:
    """One variant: a fit per grid point (None: nothing is learned), and its merge."""

    name: str
    fits: tuple[FitWork | None, ...]
    merge: Merge


@dataclass(frozen=True)
class StudyWork:
    """What a study asks for. `texts`: questions in words alone; `owners`: how many models answer them.

    `devices`: processes that share the test questions. `oracle`: test questions for every grid point.
    """

    shape: Shape
    variants: tuple[VariantWork, ...]
    dev: tuple[AnswerWork, ...]
    test: tuple[AnswerWork, ...]
    texts: tuple[AnswerWork, ...] = ()
    owners: int = 0
    spectrum: SpectrumWork | None = None
    precision: Precision = PLAIN
    devices: int = 1
    oracle: bool = False


@dataclass(frozen=True)
class Row:
    """A stage and how often it runs; `stage` holds one run's cost, the mean where runs differ."""

    stage: Stage
    times: int
    counted: bool = True  # in the total: an export is optional

    @property
    def seconds(self) -> float:
        """All runs, one after the other."""
        return self.times * self.stage.seconds

    @property
    def disk(self) -> float:
        """What all runs leave behind."""
        return self.times * self.stage.disk


@dataclass(frozen=True)
class Plan:
    """The rows in the order of the stages, and their sums."""

    rows: tuple[Row, ...]
    variants: int
    points: int

    @property
    def seconds(self) -> float:
        """Of the whole study, stages one after the other."""
        return sum(row.seconds for row in self.rows if row.counted)

    @property
    def memory(self) -> float:
        """Largest main memory of a stage."""
        return max(row.stage.memory for row in self.rows if row.counted)

    @property
    def device_memory(self) -> float:
        """Largest GPU memory of a stage."""
        return max(row.stage.device_memory for row in self.rows if row.counted)

    @property
    def disk(self) -> float:
        """What the study leaves behind, beside the checkpoints."""
        return sum(row.disk for row in self.rows if row.counted)


def plan(work: StudyWork, machine: Machine) -> Plan:
    """Every stage of a study with its cost on a machine."""
    shape, dtype = work.shape, work.precision.dtype
    rows = [Row(stages.hashing(shape, machine), 1)]
    if work.spectrum is not None:
        rows.append(Row(stages.spectrum(shape, work.spectrum, machine), 1))
    learned = [fit for variant in work.variants for fit in variant.fits if fit is not None]
    if learned:
        costs = [fitting.fit(shape, fit, machine, work.precision) for fit in learned]
        rows.append(Row(_mean("fit", costs), len(costs)))
    merges = [_merging(work, variant, machine) for variant in work.variants]
    points = [len(variant.fits) for variant in work.variants]
    onto = [
        stages.merge_on_load(shape, machine, seconds * count, dtype)
        for seconds, count in zip(merges, points, strict=True)
    ]
    rows.append(Row(_mean("merge on load (tune)", onto), len(onto)))
    if work.dev:
        rows.append(Row(_asked("answers (dev)", work, work.dev, machine), sum(points)))
    loads = [stages.merge_on_load(shape, machine, seconds, dtype) for seconds in merges]
    rows.append(Row(_mean("merge on load (predict)", loads), len(loads)))
    rows.append(Row(_asked("answers (test)", work, work.test, machine, work.devices), len(loads)))
    if work.oracle:
        again = [
            stages.merge_on_load(shape, machine, seconds, dtype)
            for seconds, count in zip(merges, points, strict=True)
            for _ in range(count)
        ]
        rows.append(Row(_mean("merge on load (oracle)", again), len(again)))
        rows.append(Row(_asked("answers (oracle)", work, work.test, machine), len(again)))
    if work.texts:
        rows.append(Row(_asked("answers (text)", work, work.texts, machine), work.owners))
    longest = max(merges)
    rank = work.spectrum.rank if work.spectrum else None
    rows.append(Row(stages.exporting(shape, machine, longest, rank=rank), 1, counted=False))
    return Plan(tuple(rows), len(work.variants), sum(points))


def _merging(work: StudyWork, variant: VariantWork, machine: Machine) -> float:
    merge, spectrum = variant.merge, work.spectrum or SpectrumWork()
    return stages.merging(
        work.shape, machine, reads=merge.reads, passes=merge.passes, svds=merge.svds, rank=spectrum.rank,
        spectrum_dtype=spectrum.dtype if merge.on_spectrum else None,
    )  # fmt: skip


def _asked(
    name: str, work: StudyWork, asked: Sequence[AnswerWork], machine: Machine, devices: int = 1
) -> Stage:
    """Several benchmarks with one loaded model; `devices` processes share them."""
    costs = [stages.answers(work.shape, group, machine, work.precision.dtype) for group in asked]
    parts = {part: sum(cost.parts[part] for cost in costs) / devices for part in costs[0].parts}
    return Stage(
        name, parts, max(c.memory for c in costs), max(c.device_memory for c in costs),
        sum(c.disk for c in costs),
    )  # fmt: skip


def _mean(name: str, costs: Sequence[Stage]) -> Stage:
    """The mean of several runs' seconds and disk, the largest memory."""
    parts = {part: sum(c.parts.get(part, 0.0) for c in costs) / len(costs) for part in costs[0].parts}
    notes = dict.fromkeys(cost.note for cost in costs if cost.note)
    return Stage(
        name, parts, max(c.memory for c in costs), max(c.device_memory for c in costs),
        sum(c.disk for c in costs) / len(costs), "; ".join(notes),
    )  # fmt: skip
