"""Say what a study will cost before it runs: `frism plan config/qwen2_5_vl_7b.yaml --machine h200`.

The figures are a count, not a simulation: bytes, products and tokens by the study's config (plan_stages.py,
plan_costs.py), divided by a few rates of a machine (plan_machines.py). Checkpoints need not be downloaded if
their sizes are known (plan_checkpoints.yaml). What finished studies really took stands beside.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.table import Table

from benchmarks.study.config import StudyConfig
from benchmarks.tools import plan_machines
from benchmarks.tools.plan_costs import LONGEST
from benchmarks.tools.plan_machines import Machine
from benchmarks.tools.plan_stages import MEAN_ANSWER, PICTURE, Assumptions, Planner, Stage
from frism.commands.console import Json, make_console
from frism.errors import report_errors

RESULTS = Path("results")
RuleTimes = dict[str, tuple[int, float]]  # by rule: jobs, and their wall seconds together


@report_errors()
def main(
    configs: Annotated[
        list[Path], typer.Argument(metavar="CONFIG...", help="A study's YAML; later files go before earlier.")
    ],
    machine: Annotated[
        str, typer.Option(help="A name (list shows them), or this: measured once, in some seconds.")
    ] = plan_machines.THIS,
    measure: Annotated[
        str | None, typer.Option(metavar="NAME", help="Measure this machine now and keep it under NAME.")
    ] = None,
    pixels: Annotated[int | None, typer.Option(min=784, help="Pixels of a mean picture.")] = None,
    answer_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens of a mean answer.")] = None,
    as_json: Json = False,
) -> None:
    """Count what a study will cost in time, memory and disk on a machine, stage by stage.

    A count, not a simulation: bytes, products and tokens divided by a few rates of the machine. Of five
    variants of the miniature on one core it said 1.03 of the processor time that tuning took, 0.92 of
    answering, and about twice that of short jobs (scores, spectra); no released model and no GPU has been
    compared yet.
    Lengths of answers are assumed, and decide most of a large study. Memory is the model's, without the
    process around it.
    """
    if machine == "list":
        _list_machines()
        return
    study, assumed = StudyConfig.load(*configs), Assumptions(pixels, answer_tokens)
    if measure is not None:
        machine, rates = measure, plan_machines.save_machine(measure, plan_machines.measure_machine())
    else:
        rates = plan_machines.find_machine(machine)
    planner = Planner(study, rates, assumed)
    stages, finished = planner.stages(), read_times(RESULTS / study.study)
    others = list(compare_finished(RESULTS, study.study, rates, assumed))
    if as_json:
        print(json.dumps(_make_json(configs, machine, rates, stages, finished, others), indent=1))
    else:
        _show(configs, machine, planner, stages, finished, others)


def read_times(study: Path) -> RuleTimes:
    """Return what a study's jobs took by stage, as it was measured (costs/); empty where none ran.

    Rules without a stage of their own in a plan are "others". A job that was killed and taken up again counts
    with its last run.
    """
    rules: RuleTimes = {}
    folder = study / "costs"
    for path in sorted(folder.rglob("*.tsv")):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        rule = (
            rule
            if rule in ("spectrum", "tune", "predict", "score", "oracle", "analyse", "text")
            else "others"
        )
        jobs, seconds = rules.get(rule, (0, 0.0))
        rules[rule] = jobs + 1, seconds + float(pd.read_csv(path, sep="\t")["s"].mean())
    return rules


def compare_finished(
    results: Path, study: str, machine: Machine, assumed: Assumptions
) -> Iterable[tuple[str, float, float]]:
    """Yield the name, predicted and real seconds of every other finished study, stages of which both know."""
    for path in sorted(results.glob("*/study.json")):
        other, times = path.parent, read_times(path.parent)
        if other.name == study or not times or not (other / "summary.md").is_file():
            continue
        stages = Planner(StudyConfig.read(path), machine, assumed).stages()
        known = [stage for stage in stages if stage.name in times]
        yield (
            other.name,
            sum(stage.cost.seconds for stage in known),
            sum(times[stage.name][1] for stage in known),
        )


def _list_machines() -> None:
    table = Table(title="Machines")
    for column in ("name", "machine", "rates"):
        table.add_column(column)
    for name, machine in plan_machines.load_data_sheets().items():
        table.add_row(name, machine.title, machine.source)
    table.add_row(plan_machines.THIS, "where the command runs", "measured once, and kept in the cache folder")
    make_console().print(table)


def _make_json(
    configs: Iterable[Path], name: str, machine: Machine, stages: list[Stage], finished: RuleTimes,
    others: Iterable[tuple[str, float, float]],
) -> dict[str, Any]:  # fmt: skip
    rows = [
        {
            "stage": stage.name, "jobs": stage.jobs, **asdict(stage.cost), "memory": stage.memory,
            "disk": stage.disk, "parts": {part: cost.seconds for part, cost in stage.parts.items()},
            "notes": list(stage.notes), "took": finished.get(stage.name, (0, None))[1],
        }
        for stage in stages
    ]  # fmt: skip
    return {
        "config": [str(path) for path in configs], "machine": name, "title": machine.title,
        "rates": machine.source, "stages": rows,
        "total": {key: sum(row[key] for row in rows) for key in ("seconds", "products", "tokens", "disk")}
        | {"memory": max(row["memory"] for row in rows)},
        "finished": [{"study": s, "predicted": p, "took": t} for s, p, t in others],
    }  # fmt: skip


def _show(
    configs: Iterable[Path], name: str, planner: Planner, stages: list[Stage], finished: RuleTimes,
    others: Iterable[tuple[str, float, float]],
) -> None:  # fmt: skip
    machine, total = planner.machine, sum((stage.cost for stage in stages), start=Stage("", 0, {}).cost)
    table = Table(
        title=f"{' + '.join(path.name for path in configs)} on {name}: {machine.title}",
        caption=_write_caption(planner, others),
    )
    table.add_column("stage")
    for column in ("jobs", "time", *(("took",) if finished else ()), "products", "tokens", "memory", "disk"):
        table.add_column(column, justify="right")
    table.add_column("most of it")
    for stage in stages:
        most = max(stage.parts, key=lambda part: stage.parts[part].seconds)
        share = f"{most} {stage.parts[most].seconds / max(stage.cost.seconds, 1e-9):.0%}"
        fits = () if stage.memory <= machine.memory else ("more memory than there is",)
        table.add_row(
            stage.name, str(stage.jobs), format_duration(stage.cost.seconds), *_format_taken(stage, finished),
            format_count(stage.cost.products), format_count(stage.cost.tokens), format_size(stage.memory),
            format_size(stage.disk), "; ".join((share, *stage.notes, *fits)),
        )  # fmt: skip
    table.add_section()
    all_took = (format_duration(sum(seconds for _, seconds in finished.values())),) if finished else ()
    memory, disk = max(stage.memory for stage in stages), sum(stage.disk for stage in stages)
    table.add_row(
        "in all", "", format_duration(total.seconds), *all_took, format_count(total.products),
        format_count(total.tokens), format_size(memory), format_size(disk), "",
    )  # fmt: skip
    make_console().print(table)


def _format_taken(stage: Stage, finished: RuleTimes) -> tuple[str, ...]:
    """Format what a stage took, with its jobs where some are missing; none where there is no column."""
    if not finished:
        return ()
    jobs, seconds = finished.get(stage.name, (0, 0.0))
    partly = "" if jobs >= stage.jobs else f" ({jobs} jobs)"
    return (f"{format_duration(seconds)}{partly}" if jobs else "",)


def _write_caption(planner: Planner, others: Iterable[tuple[str, float, float]]) -> str:
    assumed, questions = planner.assumed, sum(group.count for group in planner.test)
    by_axis = ", ".join(f"{axis} {tokens}" for axis, tokens in MEAN_ANSWER.items())
    samples = planner.engine.samples
    each = f", {samples} answers each" if samples else ""
    answer = assumed.answer_tokens or f"by axis ({by_axis}), at most half the limit"
    lines = [
        f"Rates: {planner.machine.source}. A count: stages one after another, {questions:,} test questions a"
        f" variant{each}. Assumed tokens of a mean answer: {answer}; the longest of a batch {LONGEST:g}"
        f" times as long; pixels of a picture: {assumed.pixels or PICTURE:,} unless the config limits them."
    ]
    lines += [
        f"Of the finished study {name} this machine's rates say {format_duration(predicted)}; it took"
        f" {format_duration(real)}, where it ran: predicted / took {predicted / real:.2f}."
        for name, predicted, real in others
    ]
    return "\n".join(lines)


def format_duration(seconds: float) -> str:
    """Format seconds, minutes or hours, whichever reads best."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 6000 else f"{seconds / 3600:,.0f} h"


def format_size(number: float) -> str:
    """Format bytes in MB or GB; nothing for 0."""
    if not number:
        return ""
    return f"{number / 1e6:.3g} MB" if number < 1e9 else f"{number / 1e9:.3g} GB"


def format_count(number: float) -> str:
    """Format a large number by thousands, millions and so on; nothing for 0."""
    for unit, name in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return f"{number:.0f}" if number else ""


if __name__ == "__main__":
    typer.run(main)
