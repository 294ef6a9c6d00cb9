"""The link of the singular directions: what the study keeps of them follows from its checkpoints.

Spectra are large and can be computed again at any time, so a study may have been stripped of them; what is
there must be whole.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.tools.chain.chain import AGAIN, BrokenLinkError, Chain
from frism.spectra.quality import residual
from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import Spectra
from frism.spectra.store import SpectrumStore

# Of a residual computed again by another library or machine.
MARGIN, ROUNDING = 1.5, 1e-6


class Kept(NamedTuple):
    """One matrix's file: the folder that it lies in, its tensor's name and its shape."""

    store: SpectrumStore
    name: str
    shape: tuple[int, ...]

    @property
    def path(self) -> Path:
        """The file."""
        return self.store.path(self.name)


def files(chain: Chain) -> str:
    """Every file is there, under the key of checkpoints and settings, with the tensors that were written."""
    kept = list(_kept(chain))
    for one in kept:
        one.store.check(one.name, one.shape)
    return _said(chain, kept)


def again(chain: Chain) -> str:
    """Directions and tail of every matrix add up to tau_R as closely as its file says."""
    kept, worst = list(_kept(chain)), 0.0
    for one in kept:
        spectra = Spectra(chain.triple, one.store.settings, one.store.root)
        found = residual(spectra.task_vector(one.name), spectra.load(one.name))
        said = spectra.ensure(one.name)["quality"]["residual"]
        if not found <= MARGIN * said + ROUNDING:
            raise BrokenLinkError(
                f"{one.path} misses {found:.1e} of the task vector, not {said:.1e} as it says: {AGAIN}."
            )
        worst = max(worst, found)
    return f"relative residuals of at most {worst:.1e}" if kept else _said(chain, kept)


def _settings(chain: Chain) -> dict[SpectrumSettings, None]:
    """How the spectra were computed that the study's recipes name."""
    return dict.fromkeys(r.spectrum for r in chain.recipes.values() if r.spectrum is not None)


def _kept(chain: Chain) -> Iterator[Kept]:
    shapes = {name: chain.triple.header("lrm", name).shape for name in chain.triple.names()}
    for settings in _settings(chain):
        store = SpectrumStore(chain.layout.spectra, chain.digests["base"], chain.digests["lrm"], settings)
        if store.folder.is_dir():
            yield from (Kept(store, name, shape) for name, shape in shapes.items() if len(shape) == 2)


def _said(chain: Chain, kept: list[Kept]) -> str:
    if not _settings(chain):
        return "none needed by this study"
    if not kept:
        return "none kept: they follow from the checkpoints"
    return f"{len(kept)} matrices, key {', '.join(dict.fromkeys(one.store.key for one in kept))}"
