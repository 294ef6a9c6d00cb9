"""Run `frism export`: write the folder of a fitted variant as a merged checkpoint."""

from pathlib import Path
from typing import Annotated

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
from frism.errors import report_errors


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
    dry_run: DryRun = False,
) -> None:
    """Write a variant of a study as a checkpoint, with the study's own singular directions."""
    configure_process()
    from frism.merging.export import Job
    from frism.method.recipe import Recipe
    from frism.triples.triple import Triple

    recipe, fitted = Recipe.load(variant)
    triple = Triple.open(base, vlm, lrm, recipe.scope, text_receiver=text_receiver, vlm_donor=vlm_donor, allow_pickle=allow_pickle)
    options = parse_write_options(dtype, shard_size, device, threads, no_sync)
    if spectra is None:
        spectra = choose_spectra(variant, triple, recipe)
    run_job(Job.from_recipe(triple, recipe, fitted, out, spectra=spectra, **options), dry_run)
