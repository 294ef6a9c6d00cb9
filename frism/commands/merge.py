"""Run `frism merge`: write three checkpoints, merged by a method, as one; share its options and output."""

import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frism.errors import UserError, find_reason, report_errors

if TYPE_CHECKING:
    from frism.merging.export import Job
    from frism.merging.model_card import Outcome
    from frism.method.parameters import Value

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h

Vlm = Annotated[str, typer.Option(help="The vision-language model V that receives: a folder, or a hub id.")]
Lrm = Annotated[
    list[str],
    typer.Option(
        help="The reasoning model R: a folder, a hub id or BASE+ADAPTER; repeat for several, 0.5*R."
    ),
]
Base = Annotated[str, typer.Option(help="The base language model B of both: a folder, or a hub id.")]
Out = Annotated[Path, typer.Option(help="The folder to write; must not exist yet.")]
Dtype = Annotated[
    str | None,
    typer.Option(help="How merged tensors are stored (default: as V stores each); others stay V's."),
]
ShardSize = Annotated[
    str | None, typer.Option(help="Largest size of a weight file, such as 5GB (default: V's own files).")
]
Device = Annotated[str | None, typer.Option(help="Where to compute: cpu (default) or cuda.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads (default: all cores).")]
TextReceiver = Annotated[
    bool, typer.Option("--text-receiver", help="V may be a text model, and --scope all.")
]
VlmDonor = Annotated[
    bool, typer.Option("--vlm-donor", help="B and R may be VLMs: their language towers count.")
]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Convert pickled weights to safetensors, once, into a cache.")
]
NoSync = Annotated[
    bool,
    typer.Option("--no-sync", help="Do not wait for the disk; a power failure may then undo the merge."),
]
SpectraFolder = Annotated[
    Path | None, typer.Option("--spectra", help="The folder that keeps spectra (`frism spectrum`).")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and write nothing.")]


@report_errors()
def merge(
    vlm: Vlm,
    lrm: Lrm,
    base: Base,
    method: Annotated[str, typer.Option(help="A method (`frism methods` lists them), or a method's file.")],
    out: Out,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the method; repeat."),
    ] = None,
    scope: Annotated[
        str | None,
        typer.Option(
            help="mat, mat_no_qk, mat_attn, mat_mlp, mat+bias, mat+bias+norm, all (default: the method's)."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of a random method.")] = 0,
    dtype: Dtype = None,
    shard_size: ShardSize = None,
    device: Device = None,
    threads: Threads = None,
    text_receiver: TextReceiver = False,
    vlm_donor: VlmDonor = False,
    allow_pickle: AllowPickle = False,
    no_sync: NoSync = False,
    spectra: SpectraFolder = None,
    dry_run: DryRun = False,
) -> None:
    """Merge a reasoning model into a vision-language model and write the checkpoint."""
    configure_process()
    from frism.merging.export import Job
    from frism.method.discovery import find
    from frism.triples.scopes import check_scope
    from frism.triples.triple import Triple

    merging_method = find(method)
    merging_method.refuse_unless_merging()
    params = merging_method.validate(dict(map(_parse_assignment, assignments or [])))
    scope = scope or merging_method.scope
    check_scope(scope)  # before anything is opened
    triple = Triple.open(
        base, vlm, lrm, scope,
        text_receiver=text_receiver, vlm_donor=vlm_donor, allow_pickle=allow_pickle,
    )  # fmt: skip
    job = Job(
        triple, method, params, scope, out, seed,
        spectra=spectra, **parse_write_options(dtype, shard_size, device, threads, no_sync),
    )  # fmt: skip
    run_job(job, dry_run)


def configure_process() -> None:
    """Set process-wide options, before anything large is imported.

    OpenBLAS starts no threads beside ours; and malloc keeps the memory of freed arrays for the next ones
    (glibc would return it to the system and get it back page by page, which takes longer than the
    arithmetic).
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, (1 << 31) - 1)):
            mallopt(option, value)


def parse_write_options(
    dtype: str | None, shard_size: str | None, device: str | None, threads: int | None, no_sync: bool
) -> dict[str, Any]:
    """Parse the options on how to write, as `Job` takes them. Raises UserError for a bad one."""
    from frism.merging.sharding import parse_dtype, parse_size

    return {
        "dtype": parse_dtype(dtype) if dtype else None,
        "shard_size": parse_size(shard_size) if shard_size else None,
        "device": check_device(device),
        "threads": threads,
        "sync": not no_sync,
    }


def check_device(device: str | None) -> str | None:
    """Return the device, None for the CPU. Raises UserError when torch cannot use it."""
    if device in (None, "cpu"):
        return None
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = find_reason(error)
        raise UserError(f"--device {device} cannot be used ({reason}): leave it out.") from error
    return device


def run_job(job: "Job", dry_run: bool) -> None:
    """Print the plan, or write the checkpoint with a progress bar and print what was done."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from frism.merging.export import export

    plan = job.make_plan()
    for warning in job.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if dry_run:
        _print_plan(job)
        return
    columns = (TextColumn("merging"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=plan.size)
        outcome = export(job, lambda size: progress.advance(task, size))
    _print_outcome(outcome, job.out)


def _print_plan(job: "Job") -> None:
    from rich.table import Table

    from frism.commands.console import make_console
    from frism.triples.accounting import tally

    plan, out = job.make_plan(), make_console()
    fates = Table(title="What happens to V's tensors")
    fates.add_column("fate")
    fates.add_column("tensors", justify="right")
    fates.add_column("which")
    for fate, reasons in tally(plan.entries).items():
        for reason, count in reasons.items():
            fates.add_row(fate, str(count), reason)
    out.print(fates)
    files = Table(title=f"Files of {job.out}")
    files.add_column("file")
    files.add_column("tensors", justify="right")
    files.add_column("GB", justify="right")
    for shard in plan.shards:
        files.add_row(shard.file, str(len(shard.layout.slots)), f"{shard.layout.size / 1e9:.3f}")
    out.print(files)
    print(f"{plan.size / 1e9:.3f} GB in all; nothing was written.")


def _print_outcome(outcome: "Outcome", out: Path) -> None:
    counts, total = outcome.plan.count_fates(), outcome.total
    cast = f", the cast moved it by {100 * outcome.lost:.3g} % of that" if outcome.lost is not None else ""
    print(
        f"{out}: {counts['merged']} tensors merged, {counts['copied']} copied, {counts['skipped']} skipped; "
        f"injected norm {total.injected:.6g}{cast}."
    )


def _parse_assignment(text: str) -> "tuple[str, Value]":
    """Parse NAME=VALUE; the value is a number, true, false, or else a text."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UserError(f"--set {text} is not an assignment: write NAME=VALUE.")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value
