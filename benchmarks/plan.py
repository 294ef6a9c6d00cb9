"""What a study will cost: `frism plan config/qwen2_5_vl_7b.yaml --machine h200`, before anything is run.

python -m benchmarks.plan config/x.yaml [--machine NAME|this|list] [--measure NAME] [--json]
Time, memory and disk of every stage, from the study's config and the rates of a machine
(frism/planning/machines.yaml, or measured here). Checkpoints need not be downloaded if their shape is known.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from benchmarks.planning.study_work import LONGEST, MEAN_ANSWER, PICTURE, Assumptions, read, study_work
from frism.commands.console import Json, console
from frism.errors import report_errors
from frism.planning import machines
from frism.planning.study import Plan, StudyWork, plan

if TYPE_CHECKING:
    from frism.planning.machines import Machine


@report_errors()
def main(
    config: Annotated[Path, typer.Argument(help="A study's YAML.")],
    machine: Annotated[
        str, typer.Option(help="A profile (--machine list shows them), or this: measured once, here.")
    ] = machines.THIS,
    measure: Annotated[
        str | None, typer.Option(metavar="NAME", help="Measure this machine now and keep it under NAME.")
    ] = None,
    pixels: Annotated[int | None, typer.Option(min=784, help="Pixels of a mean picture.")] = None,
    answer_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens of a mean answer.")] = None,
    as_json: Json = False,
) -> None:
    """Predict time, memory and disk of a study, stage by stage, on a machine."""
    if machine == "list":
        _list()
        return
    assumed = Assumptions(pixels, answer_tokens)
    work = study_work(read(config), assumed)
    if measure is not None:
        machine, found = measure, machines.keep(measure, _measured())
    else:
        found = machines.machine(machine, _measured)
    made = plan(work, found)
    if as_json:
        print(json.dumps(_plain(config, machine, found, made), indent=1))
    else:
        _show(config, machine, found, work, made, assumed)


def _measured() -> "Machine":
    from frism.planning.trials import measure

    return measure()


def _list() -> None:
    table = Table(title="Machines")
    for column in ("name", "machine", "rates"):
        table.add_column(column)
    for name, found in machines.profiles().items():
        table.add_row(name, found.title, f"{found.provenance}: {found.source}")
    console().print(table)


def _plain(config: Path, name: str, machine: "Machine", made: Plan) -> dict[str, Any]:
    rows = [
        {"stage": row.stage.name, "times": row.times, "seconds": row.seconds, "counted": row.counted}
        | {key: value for key, value in asdict(row.stage).items() if key != "name"}
        for row in made.rows
    ]
    total = {
        "seconds": made.seconds,
        "memory": made.memory,
        "device_memory": made.device_memory,
        "disk": made.disk,
    }
    return {
        "config": str(config), "machine": name, "title": machine.title, "rates": machine.provenance,
        "variants": made.variants, "points": made.points, "stages": rows, "total": total,
    }  # fmt: skip


def _show(
    config: Path, name: str, machine: "Machine", work: StudyWork, made: Plan, assumed: Assumptions
) -> None:
    table = Table(
        title=f"{config.name} on {name}: {machine.title} (rates {machine.provenance})",
        caption=_caption(work, made, assumed),
    )
    table.add_column("stage")
    for column in ("times", "each", "all", "memory", "GPU memory", "disk"):
        table.add_column(column, justify="right")
    table.add_column("most of it")
    for row in made.rows:
        stage = row.stage
        most = max(stage.parts, key=lambda part: stage.parts[part])
        share = f"{most} {stage.parts[most] / stage.seconds:.0%}" if stage.seconds else ""
        times = f"{row.times}" if row.counted else "(1)"
        table.add_row(
            stage.name, times, duration(stage.seconds), duration(row.seconds), size(stage.memory),
            size(stage.device_memory), size(row.disk), f"{share}; {stage.note}" if stage.note else share,
        )  # fmt: skip
    table.add_section()
    table.add_row(
        "in all",
        "",
        "",
        duration(made.seconds),
        size(made.memory),
        size(made.device_memory),
        size(made.disk),
        "",
    )
    console().print(table)


def _caption(work: StudyWork, made: Plan, assumed: Assumptions) -> str:
    questions = sum(group.questions for group in work.test)
    by_axis = ", ".join(f"{axis} {tokens}" for axis, tokens in MEAN_ANSWER.items())
    answer = assumed.answer_tokens or f"by axis ({by_axis}), at most half the limit"
    return (
        f"{made.variants} variants, {made.points} grid points, {questions:,} test questions each, stages one"
        f" after the other. Assumed tokens of a mean answer: {answer}; the longest of a batch {LONGEST:g}"
        f" times as long; pixels of a picture: {assumed.pixels or PICTURE:,} unless the config limits them."
    )


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 6000 else f"{seconds / 3600:.3g} h"


def size(number: float) -> str:
    """Bytes in MB or GB; nothing for 0."""
    if not number:
        return ""
    return f"{number / 1e6:.3g} MB" if number < 1e9 else f"{number / 1e9:.3g} GB"


if __name__ == "__main__":
    typer.run(main)
