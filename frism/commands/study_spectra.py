"""Find the spectra that a study merged a variant with, so that its export has the same bits.

A study keeps `variants/<variant>`, and below it `points/<number>`, beside `spectra`. Directions that are
decomposed again, in another process, may differ in their last bits, and with them the merge.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frism.method.recipe import Recipe
    from frism.triples.triple import Triple

VARIANTS, POINTS, SPECTRA = "variants", "points", "spectra"


def choose_spectra(variant: Path, triple: "Triple", recipe: "Recipe") -> Path | None:
    """Return the folder with the directions of a variant in a study, None where they are to be computed.

    Says in one sentence on stderr which directions are computed again, if any.
    """
    if recipe.spectrum is None:
        return None
    from frism.spectra.spectra import Spectra

    folder = find_spectra(variant)
    names = [name for name in triple.names(recipe.scope) if len(triple.header("vlm", name).shape) == 2]
    missing = names
    if folder is not None:
        store = Spectra(triple, recipe.spectrum, folder).store
        missing = [name for name in names if not store.path(name).exists()]
    if len(missing) == len(names):
        where = f"{folder} holds none for this variant" if folder else f"{variant} has none beside it"
        print(
            f"note: the singular directions are computed again, since {where}; last bits may differ from"
            " those of its study (--spectra names a folder that has them).",
            file=sys.stderr,
        )
        return None
    if missing:
        print(
            f"note: {folder} lacks the singular directions of {len(missing)} of {len(names)} matrices: they"
            " are computed again and kept there.",
            file=sys.stderr,
        )
    return folder


def find_spectra(variant: Path) -> Path | None:
    """Find the spectra of the study that a variant's or a point's folder lies in."""
    for folder in (variant.absolute(), variant.resolve()):
        home = folder.parent.parent if folder.parent.name == POINTS else folder
        spectra = home.parent.parent / SPECTRA
        if home.parent.name == VARIANTS and spectra.is_dir():
            return spectra
    return None
