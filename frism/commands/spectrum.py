"""Run `frism spectrum`: decompose tau_R matrix by matrix and store its singular directions in a folder."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from frism.commands.console import Json, make_console
from frism.commands.merge import AllowPickle, TextReceiver, Threads, VlmDonor, check_device
from frism.errors import UserError, report_errors
from frism.progress import Progress

if TYPE_CHECKING:
    from frism.spectra.spectra import Spectra


@report_errors()
def spectrum(
    base: Annotated[str, typer.Argument(help="The base language model B: a folder or owner/name@revision.")],
    vlm: Annotated[str, typer.Argument(help="The vision-language model V.")],
    lrm: Annotated[list[str], typer.Argument(help="The reasoning model R; several as WEIGHT*FOLDER.")],
    out: Annotated[Path, typer.Option(help="The folder that keeps spectra; what it has is not done again.")],
    rank: Annotated[
        int | None, typer.Option(min=1, help="Directions kept per matrix (default: all).")
    ] = None,
    dtype: Annotated[str, typer.Option(help="Of the stored factors: float32 or bfloat16.")] = "float32",
    solver: Annotated[
        str, typer.Option(help="auto, gesdd, gram, qr, randomised; on a GPU gesvd, gesvdj, gesvda too.")
    ] = "auto",
    scope: Annotated[
        str, typer.Option(help="mat, mat_no_qk, mat_attn, mat_mlp, mat+bias, mat+bias+norm: its matrices.")
    ] = "mat",
    layers: Annotated[str | None, typer.Option(help="Only these layers, such as 0-13 or 3,5-7.")] = None,
    part: Annotated[
        str | None, typer.Option(help="I/N: the I-th of N shares of about equal work, from 1 on.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, or auto.")] = "cpu",
    threads: Threads = None,
    text_receiver: TextReceiver = False,
    vlm_donor: VlmDonor = False,
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
) -> None:
    """Decompose tau_R = R - B of every matrix in scope and keep the singular directions.

    A run that was stopped goes on where it was; several runs, each with its part, may share a folder.
    """
    from pydantic import ValidationError

    from frism.compute import Compute
    from frism.errors import describe_first_fault
    from frism.spectra.parts import choose_part, parse_layers
    from frism.spectra.settings import SpectrumSettings
    from frism.triples.triple import Triple

    try:
        settings = SpectrumSettings.model_validate({"rank": rank, "dtype": dtype, "solver": solver})
    except ValidationError as error:
        raise UserError(f"--{describe_first_fault(error)}.") from error
    torch_device = check_device(str(Compute(device).torch_device) if device == "auto" else device) or "cpu"
    triple = Triple.open(
        base, vlm, lrm, scope, text_receiver=text_receiver, vlm_donor=vlm_donor, allow_pickle=allow_pickle
    )
    names = [name for name in triple.names() if len(triple.header("lrm", name).shape) == 2]
    if layers is not None:
        chosen_layers = parse_layers(layers, triple.layers)
        names = [name for name in names if triple.layer(name) in chosen_layers]
    if part is not None:
        names = choose_part({name: triple.header("lrm", name).shape for name in names}, part, settings)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    from frism.spectra.spectra import Spectra

    spectra = Spectra(triple, settings, out)
    report = _decompose_matrices(spectra, names, torch_device)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        _print_report(report)


def _decompose_matrices(spectra: "Spectra", names: list[str], device: str) -> dict[str, Any]:
    """Decompose what the folder lacks; return what `--json` prints."""
    from frism.spectra.store import count_bytes

    with Progress("matrices", len(names)) as progress:
        store = spectra.store
        stored = {name for name in names if store.read_metadata(name, spectra.shape(name)) is not None}
        missing = [name for name in names if name not in stored]
        _check_space(store.root, count_bytes(spectra.settings, map(spectra.shape, missing)))
        facts = {}
        for name in names:
            facts[name] = spectra.ensure(name, device)
            progress.advance(note=name)
    shapes = {name: spectra.shape(name) for name in names}
    return {
        "folder": str(store.folder),
        "key": store.key,
        "settings": spectra.settings.model_dump(),
        "matrices": len(names),
        "kept": len(stored),
        "bytes": count_bytes(spectra.settings, shapes.values()),
        "digest": store.digest(shapes),
        "shapes": _summarise_by_shape(list(facts.values())),
    }


def _check_space(folder: Path, needed: int) -> None:
    import shutil

    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"{folder} needs {needed / 1e9:.2f} GB more and {free / 1e9:.2f} GB are free there: free some "
            "space, choose another --out, or keep fewer directions (--rank, --dtype bfloat16)."
        )


def _summarise_by_shape(facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Summarise time and quality per shape, solver and device, largest matrices first."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for matrix in facts:
        quality = matrix["quality"]
        groups.setdefault((*matrix["shape"], quality["solver"], quality["device"]), []).append(quality)
    rows = []
    for (d_out, d_in, solver, device), qualities in sorted(groups.items(), key=lambda g: -g[0][0] * g[0][1]):
        rows.append(
            {
                "shape": [d_out, d_in],
                "matrices": len(qualities),
                "solver": solver,
                "device": device,
                "seconds": sum(quality["seconds"] for quality in qualities),
                **{
                    measure: max(quality[measure] for quality in qualities)
                    for measure in ("residual", "orthogonality", "tail")
                },
            }
        )
    return rows


def _print_report(report: dict[str, Any]) -> None:
    console, kept = make_console(), report["kept"]
    table = Table(
        title="Singular directions of tau_R by shape",
        caption="seconds of decomposition in all, when each was made; residual, departure from orthogonality "
        "and the tail's share of the norm at worst",
    )
    for column in (
        "shape",
        "matrices",
        "solver",
        "device",
        "seconds",
        "each",
        "residual",
        "orthogonality",
        "tail",
    ):
        table.add_column(column, justify="left" if column in ("shape", "solver", "device") else "right")
    for row in report["shapes"]:
        table.add_row(
            " x ".join(map(str, row["shape"])), str(row["matrices"]), row["solver"], row["device"],
            f"{row['seconds']:,.3g}", f"{row['seconds'] / row['matrices']:,.3g}", f"{row['residual']:.1e}",
            f"{row['orthogonality']:.1e}", f"{row['tail']:.3f}",
        )  # fmt: skip
    console.print(table)
    counts = f"{report['matrices'] - kept} decomposed, {kept} kept from before"
    print(f"{report['folder']}: {report['matrices']} matrices ({counts}), {report['bytes'] / 1e9:.3f} GB.")
