"""A study's stages on a model of true shapes and few layers, beside what the plan says they cost.

    python tests/benchmarks/dry_run.py --shape 3b 7b --layers 1 --rank full
    python tests/benchmarks/dry_run.py --shape 7b --layers 2 --rank 256 full
For every combination: measures this machine (frism.planning.trials), makes a triple and pictures
(few_layers.py), and runs hash, spectrum, fit, merge on load with answers, and export, each as a process of
its own: `frism` where there is a command, dry_stages.py else. Prints predicted, measured and ratio as
Markdown: seconds, private memory and disk of every stage, and seconds by part (the start with the process's
end), and which missed 20 % and by how much; a part of less than three seconds either way is shown and not
judged. The machine must have nothing else to do. Exit code 1 when something missed. Imports little, see
whole_process.py.
"""

import argparse
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from few_layers import PICTURES, ROLES, SHAPES, SIDE  # noqa: E402
from whole_process import GB, Cost, measure  # noqa: E402
from whole_process import machine as described  # noqa: E402

from frism.planning import fitting, machines, stages  # noqa: E402
from frism.planning.machines import Machine  # noqa: E402
from frism.planning.shapes import Shape, shape_of  # noqa: E402
from frism.planning.work import AnswerWork, FitWork, SpectrumWork, Stage  # noqa: E402

HERE = Path(__file__).parent
TARGET = 0.2
SHORT = 3.0  # seconds below which a part is not judged
SETTLES = 4  # seconds until a file counts as settled, and its digest is remembered
CALIBRATION_WORDS, QUESTION_WORDS = 61, 37  # tokens of the prompts beside the picture's, by the byte
TRIALS = (
    "import sys; from pathlib import Path; from frism.planning.trials import measure;"
    " out = Path(sys.argv[1]); out.write_text(measure(folder=out.parent).model_dump_json())"
)


@dataclass(frozen=True)
class Case:
    """What is run: rank None keeps all directions."""

    shape: str
    layers: int
    rank: int | None
    steps: int
    batch: int
    tokens: int


@dataclass
class Outcome:
    """One stage: what was predicted, and what it took."""

    predicted: Stage
    cost: Cost
    parts: dict[str, float]
    disk: float


def predictions(case: Case, shape: Shape, found: Machine) -> list[Stage]:
    """The plan's stages, files being in memory already."""
    spectrum = SpectrumWork(case.rank)
    patches = (SIDE // shape.tower.patch) ** 2
    fit = FitWork(
        PICTURES, case.steps, case.batch, patches, CALIBRATION_WORDS, case.tokens, spectrum=spectrum
    )
    asked = AnswerWork(PICTURES, case.batch, patches, QUESTION_WORDS, case.tokens, case.tokens)
    merge = stages.merging(
        shape, found, reads=3, passes=8, rank=case.rank, spectrum_dtype="float32", cached=True
    )
    load = stages.merge_on_load(shape, found, merge, "float32", cached=True)
    answers = stages.answers(shape, asked, found, "float32")
    return [
        stages.hashing(shape, found, cached=True),
        stages.spectrum(shape, spectrum, found, cached=True),
        fitting.fit(shape, fit, found, cached=True),
        Stage(
            "merge and answers",
            load.parts | {"answers": answers.seconds},
            max(load.memory, answers.memory),
        ),
        stages.exporting(shape, found, merge, rank=case.rank, cached=True),
    ]


def commands(case: Case, folder: Path) -> Iterator[tuple[list[str], str, Path]]:
    """Each stage's command, the name of its file of parts ("" for none), and what it leaves behind."""
    options = {"rank": case.rank, "steps": case.steps, "batch": case.batch, "tokens": case.tokens,
               "questions": PICTURES}  # fmt: skip
    models = {role: str(folder / role) for role in ROLES}

    def stage(name: str) -> list[str]:
        given = json.dumps(options | {"begun": time.time()})
        return [sys.executable, str(HERE / "dry_stages.py"), name, str(folder), given]

    frism = [sys.executable, "-m", "frism"]
    rank = ["--rank", str(case.rank)] if case.rank else []
    yield stage("hash"), "hash", folder / "nothing"
    yield (
        [*frism, "spectrum", *models.values(), "--out", str(folder / "spectra"), *rank],
        "",
        folder / "spectra",
    )
    yield stage("fit"), "fit", folder / "work"
    yield stage("answer"), "answer", folder / "nothing"
    named = [word for role, path in models.items() for word in (f"--{role}", path)]
    exported = ["--out", str(folder / "exported"), "--spectra", str(folder / "spectra")]
    exported += ["--threads", os.environ["OMP_NUM_THREADS"]]
    yield [*frism, "export", str(folder / "variant"), *named, *exported], "", folder / "exported"


def rates(folder: Path, name: str) -> Machine:
    """The profile to predict with: a named one, or `this`, measured now."""
    if name != machines.THIS:
        return machines.profiles()[name]
    say(f"trials of this machine ({described()})")
    taken = measure([sys.executable, "-c", TRIALS, str(folder / "machine.json")], ROOT)
    found = Machine(**json.loads((folder / "machine.json").read_text()))
    say(f"{taken.seconds:.0f} s; rates: {found.model_dump_json(exclude={'title', 'source'})}")
    return found


def run(case: Case, folder: Path, name: str, outcomes: list[Outcome]) -> None:
    """Take the machine's rates, make the triple, run every stage; each adds its outcome."""
    found = rates(folder, name)
    say(f"a triple of {case.shape} shape with {case.layers} layers")
    measure([sys.executable, str(HERE / "few_layers.py"), str(folder), case.shape, str(case.layers)], ROOT)
    time.sleep(SETTLES)
    shape = shape_of(folder / "vlm")
    for predicted, (command, file, left) in zip(
        predictions(case, shape, found), commands(case, folder), strict=True
    ):
        os.sync()
        touch(folder)
        if file:  # the clock of its start begins now
            command[-1] = json.dumps(json.loads(command[-1]) | {"begun": time.time()})
        cost = measure(command, ROOT)
        parts = json.loads((folder / f"{file}.json").read_text()) if file else {}
        if parts:  # a process ends, which takes a while with torch, and its start is charged with that
            parts["start"] += cost.seconds - sum(parts.values())
        outcomes.append(Outcome(predicted, cost, parts, size_of(left)))
        say(
            f"{predicted.name}: {predicted.seconds:.1f} s and {predicted.memory / GB:.1f} GB predicted,"
            f" {cost.seconds:.1f} s and {cost.private:.1f} GB measured"
        )


def touch(folder: Path) -> None:
    """Read checkpoints and spectra once, so that a stage finds them in memory, if that is large enough."""
    block = bytearray(1 << 24)
    for path in sorted(folder.rglob("*.safetensors")):
        if path.relative_to(folder).parts[0] in (*ROLES, "spectra"):
            with path.open("rb", buffering=0) as stream:
                while stream.readinto(block):
                    pass


def size_of(path: Path) -> float:
    """Bytes of all files below a folder."""
    return float(sum(file.stat().st_size for file in path.rglob("*") if file.is_file()))


def rows(outcomes: list[Outcome]) -> Iterator[tuple[str, str, float, float, str, bool]]:
    """Stage, what, predicted, measured, unit, and whether it is judged."""
    for outcome in outcomes:
        stage, cost = outcome.predicted, outcome.cost
        yield stage.name, "all", stage.seconds, cost.seconds, "s", True
        for part, taken in outcome.parts.items():
            expected = stage.parts.get(part, 0.0)
            yield stage.name, part, expected, taken, "s", max(expected, taken) >= SHORT
        yield stage.name, "memory", stage.memory / GB, cost.private, "GB", True
        if stage.name in ("spectrum", "export"):
            yield stage.name, "disk", stage.disk / GB, outcome.disk / GB, "GB", True


def report(case: Case, outcomes: list[Outcome]) -> bool:
    """Print the table and the verdict; return whether everything was within the target."""
    print("| stage | what | predicted | measured | predicted / measured |\n|---|---|---|---|---|")
    missed, judged = [], 0
    for stage, what, predicted, measured, unit, counts in rows(outcomes):
        ratio = predicted / measured if measured else 1.0
        print(f"| {stage} | {what} | {predicted:.2f} {unit} | {measured:.2f} {unit} | {ratio:.2f} |")
        judged += counts
        if counts and not 1 - TARGET <= ratio <= 1 + TARGET:
            missed.append(f"{stage} ({what}): {ratio - 1:+.0%}")
    seconds = sum(o.cost.seconds for o in outcomes), sum(o.predicted.seconds for o in outcomes)
    peak = max((outcome.cost.peak for outcome in outcomes), default=0.0)
    rank = case.rank or "full"
    print(
        f"\n{case.shape}, {case.layers} layers, rank {rank}, {case.steps} steps of {case.batch} questions:"
        f" {seconds[1]:.0f} s predicted, {seconds[0]:.0f} s measured"
        f" (ratio {seconds[1] / max(seconds[0], 1e-9):.2f}); largest resident set {peak:.1f} GB."
    )
    print(f"Missed {TARGET:.0%}: {'; '.join(missed) if missed else 'nothing'} (of {judged} figures judged).")
    return not missed


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def dry_run(case: Case, parent: Path, name: str) -> bool:
    """Run one case in a temporary folder and report it; whether all was within the target."""
    folder = Path(tempfile.mkdtemp(prefix="dry_run_", dir=parent))
    os.environ |= {"FRISM_CACHE": str(folder / "cache"), "TMPDIR": str(folder)}
    outcomes: list[Outcome] = []
    ended = False
    try:
        run(case, folder, name, outcomes)
        ended = True
    except SystemExit as error:  # a stage failed: its last words, and what was measured before
        say(str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        within = report(case, outcomes)
    return ended and within


def main() -> None:
    """Run every combination of shapes, layers and ranks, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--shape", choices=SHAPES, nargs="+", default=["3b", "7b"])
    add("--layers", type=int, nargs="+", default=[1])
    add("--rank", nargs="+", default=["full"], help="directions kept per matrix, or full")
    add("--steps", type=int, default=12)
    add("--batch", type=int, default=2)
    add("--tokens", type=int, default=8, help="of an answer")
    add("--machine", default=machines.THIS, help="a profile to predict with instead of measuring this one")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where everything goes for a while")
    given = parser.parse_args()
    os.environ |= {
        "OMP_NUM_THREADS": str(given.threads),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE), os.environ.get("PYTHONPATH", "")]),
    }
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that folders are removed
    fine = True
    for shape, layers, rank in itertools.product(given.shape, given.layers, given.rank):
        kept = None if rank == "full" else int(rank)
        case = Case(shape, layers, kept, given.steps, given.batch, given.tokens)
        fine &= dry_run(case, given.folder, given.machine)
    raise SystemExit(0 if fine else 1)


if __name__ == "__main__":
    main()
