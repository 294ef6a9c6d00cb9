"""Run `frism export`: write the folder of a fitted variant as a merged checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frism.commands.merge import (
    AllowPickle,
    Base,
    Device,
    DryRun,
    Dtype,
    Lrm,
    NoSync,
    Out,
    ShardSize,
    SpectraFolder,
    TextReceiver,
    Threads,
    Vlm,
    VlmDonor,
    configure_process,
    parse_write_options,
    run_job,
)
from frism.commands.study_spectra import choose_spectra
from frism.errors import UserError, report_errors

if TYPE_CHECKING:
    from frism.method.fitted import Fitted
    from frism.method.recipe import Recipe
    from frism.triples.triple import Triple


@report_errors()
def export(
    variant: Annotated[Path, typer.Argument(help="Folder of a variant, or of an export.")],
    vlm: Vlm,
    lrm: Lrm,
    base: Base,
    out: Out,
    dtype: Dtype = None,
    shard_size: ShardSize = None,
    device: Device = None,
    threads: Threads = None,
    text_receiver: TextReceiver = False,
    vlm_donor: VlmDonor = False,
    allow_pickle: AllowPickle = False,
    no_sync: NoSync = False,
    spectra: SpectraFolder = None,
    form: Annotated[
        str,
        typer.Option("--as", help="checkpoint, or lora: an adapter on V, where the merge has a low rank."),
    ] = "checkpoint",
    rank: Annotated[
        int | None, typer.Option(min=1, help="Most directions per matrix of an adapter (default: all).")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Write a variant of a study as a checkpoint or adapter, with the study's own singular directions."""
    if form not in ("checkpoint", "lora"):
        raise UserError(f"--as {form} is unknown: choose checkpoint or lora.")
    if rank is not None and form != "lora":
        raise UserError("--rank is for an adapter: add --as lora, or leave it out.")
    configure_process()
    from frism.merging.export import Job
    from frism.method.recipe import Recipe
    from frism.triples.triple import Triple

    recipe, fitted = Recipe.load(variant)
    triple = Triple.open(
        base,
        vlm,
        lrm,
        recipe.scope,
        text_receiver=text_receiver,
        vlm_donor=vlm_donor,
        allow_pickle=allow_pickle,
    )
    options = parse_write_options(dtype, shard_size, device, threads, no_sync)
    if spectra is None:
        spectra = choose_spectra(variant, triple, recipe)
    if form == "lora":
        _write_adapter(triple, recipe, fitted, out, rank, spectra, options["device"] or "cpu")
        return
    run_job(Job.from_recipe(triple, recipe, fitted, out, spectra=spectra, **options), dry_run)


def _write_adapter(
    triple: "Triple",
    recipe: "Recipe",
    fitted: "Fitted | None",
    out: Path,
    rank: int | None,
    spectra: Path | None,
    device: str,
) -> None:
    """Write an adapter and print what it is."""
    from frism.merging.low_rank import export_adapter

    made = export_adapter(triple, recipe, fitted or None, out, rank=rank, spectra=spectra, device=device)
    cut = f"; at most {100 * made.lost:.3g} % of a matrix's change is cut off" if made.lost else ""
    print(f"{out}: an adapter of rank {made.rank} on {made.matrices} matrices of V{cut}.")
