"""Run `frism inspect`: report whether three checkpoints can be merged, and how their task vectors lie."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from frism.commands.console import Json, make_console
from frism.commands.merge import VlmDonor
from frism.errors import report_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frism.inspection.alignment import Norms
    from frism.inspection.report import Report


@report_errors()
def inspect_triple(
    base: Annotated[str, typer.Argument(help="The base language model B: a folder or owner/name@revision.")],
    vlm: Annotated[str, typer.Argument(help="The vision-language model V.")],
    lrm: Annotated[
        list[str],
        typer.Argument(help="The reasoning model R; BASE+ADAPTER for an adapter, several as WEIGHT*FOLDER."),
    ],
    scope: Annotated[
        str,
        typer.Option(help="mat, mat_no_qk, mat_attn, mat_mlp, mat+bias, mat+bias+norm; all for text models."),
    ] = "mat",
    norms: Annotated[bool, typer.Option(help="Read the values too, not the headers alone.")] = True,
    text_receiver: Annotated[bool, typer.Option("--text-receiver", help="V may be a text model.")] = False,
    vlm_donor: VlmDonor = False,
    allow_pickle: Annotated[bool, typer.Option("--allow-pickle", help="Convert pickled weights.")] = False,
    as_json: Json = False,
) -> None:
    """Check that three checkpoints can be merged: names, shapes, configs, tokenizers, task vectors, costs.

    Exit code 1 with the reasons when merging makes no sense, 2 for files that are missing or damaged.
    """
    from frism.inspection.report import inspect
    from frism.triples.triple import Triple

    triple = Triple.open_unchecked(base, vlm, lrm, scope, allow_pickle=allow_pickle)
    triple.tower_names(scope)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading tensors", total=len(triple.tower_names(scope)))
        report = inspect(
            triple, scope, text_receiver=text_receiver, vlm_donor=vlm_donor, norms=norms,
            progress=lambda name: progress.advance(task),
        )  # fmt: skip
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        _print_report(report)
    if report.verdict.refusals:
        raise SystemExit(1)


def _print_report(report: "Report") -> None:
    out = make_console()
    out.print(_tabulate_checkpoints(report))
    if not report.verdict.refusals:
        shapes = ", ".join(f"{count} of {shape}" for shape, count in report.shapes.items())
        out.print(f"Scope {report.scope}: {report.aligned} aligned tensors ({shapes}).", highlight=False)
        for fate, reasons in report.fates.items():
            detail = "; ".join(f"{count} {reason}" for reason, count in reasons.items())
            out.print(
                f"{fate.capitalize()}: {sum(reasons.values())}" + (f" ({detail})" if detail else ""),
                highlight=False,
            )
    if report.vectors is not None:
        vectors = report.vectors
        rows = [("outside" if row.layer is None else str(row.layer), row) for row in vectors.layers]
        out.print(_tabulate_norms("layer", [*rows, ("all", vectors.total)]))
        out.print(_tabulate_norms("module", [(row.module, row) for row in vectors.modules]))
    if report.costs is not None:
        out.print(_tabulate_costs(report))
    verdict = report.verdict
    groups = (("Refused", verdict.refusals), ("Warning", verdict.warnings), ("Note", verdict.notes))
    for heading, sentences in groups:
        for sentence in sentences:
            out.print(f"{heading}: {sentence}", highlight=False, markup=False)
    if report.expectations:
        out.print("What to expect:")
        for sentence in report.expectations:
            out.print(f"- {sentence}", highlight=False, markup=False)
    out.print(f"Verdict: {verdict.status}.", highlight=False)


def _tabulate_checkpoints(report: "Report") -> Table:
    table = Table(title="Checkpoints")
    table.add_column("")
    for side in report.sides:
        table.add_column(side.role, overflow="fold")
    sides = report.sides
    table.add_row("folder", *(side.folder for side in sides))
    table.add_row("type", *(side.model_type for side in sides))
    stored = [", ".join(f"{dtype} ({count})" for dtype, count in side.dtypes.items()) for side in sides]
    table.add_row("tensors", *(f"{side.tensors} in {side.shards} files" for side in sides))
    table.add_row("stored as", *stored)
    table.add_row("values", *(f"{side.values:,} ({side.bytes / 1e9:.3g} GB)" for side in sides))
    facts = {
        "text model": "text_type", "layers": "num_hidden_layers", "hidden size": "hidden_size",
        "heads": "num_attention_heads", "key-value heads": "num_key_value_heads",
        "vocabulary rows": "vocab_size", "tied embedding": "tie_word_embeddings", "RoPE base": "rope_theta",
        "RoPE scaling": "rope_scaling", "RMSNorm weight": "norm", "RMSNorm epsilon": "rms_norm_eps",
    }  # fmt: skip
    for label, key in facts.items():
        table.add_row(label, *(str(getattr(side.facts, key)) if side.facts else "?" for side in sides))
    tokens = [f"{s.tokens:,} ({s.added_tokens} added)" if s.tokens is not None else "?" for s in sides]
    table.add_row("tokens", *tokens)
    table.add_row("sha256", *((side.digest or "not read")[:12] for side in sides))
    return table


def _tabulate_norms(first: str, rows: "Iterable[tuple[str, Norms]]") -> Table:
    table = Table(title=f"Task vectors by {first}: tau_V = V - B, tau_R = R - B")
    columns = ("tensors", "|B|", "|tau_V|", "|tau_R|", "|tau_V| / |B|", "|tau_R| / |B|", "cosine", "changed",
               "rank")  # fmt: skip
    table.add_column(first, justify="left" if first == "module" else "right")
    for column in columns:
        table.add_column(column, justify="right")
    for label, row in rows:
        if label == "all":
            table.add_section()
        relative = [f"{tau / row.base:.4f}" if row.base else "-" for tau in (row.tau_vlm, row.tau_lrm)]
        norms = [f"{value:.4g}" for value in (row.base, row.tau_vlm, row.tau_lrm)]
        cosine = f"{row.cosine:+.4f}" if row.tau_vlm and row.tau_lrm else "-"
        rank = f"{row.effective_rank:.3f}" if row.effective_rank is not None else "-"
        table.add_row(label, str(row.tensors), *norms, *relative, cosine, f"{row.changed:.3f}", rank)
    return table


def _tabulate_costs(report: "Report") -> Table:
    assert report.costs is not None
    speed, svd = report.costs.read_bytes_per_second / 1e9, report.costs.svd_seconds
    table = Table(
        title="Estimated cost of writing one merged checkpoint",
        caption=f"without start-up, on one core, reading at {speed:.2g} GB/s; a singular value decomposition "
        f"of every matrix of tau_R: about {svd:,.2g} s",
    )
    for column in ("method", "seconds", "memory", ""):
        table.add_column(column, justify="right" if column in ("seconds", "memory") else "left")
    for row in report.costs.methods:
        seconds = "-" if row.seconds is None else f"{row.seconds:,.2g}"
        memory = "-" if row.bytes is None else f"{row.bytes / 1e9:.2g} GB"
        table.add_row(row.method, seconds, memory, row.note)
    return table
