"""Check the singular directions: those that the study keeps follow from its checkpoints.

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


class StoredMatrix(NamedTuple):
    """Names one matrix's file: the folder that it lies in, its tensor's name and its shape."""

    store: SpectrumStore
    name: str
    shape: tuple[int, ...]

    @property
    def path(self) -> Path:
        """Return the file."""
        return self.store.path(self.name)


def check_files(chain: Chain) -> str:
    """Check that every file is there, under its key, with the tensors that were written."""
    stored = list(_list_stored(chain))
    for matrix in stored:
        matrix.store.check(matrix.name, matrix.shape)
    return _describe(chain, stored)


def check_residuals(chain: Chain) -> str:
    """Check that directions and tail of every matrix add up to tau_R as closely as its file says."""
    stored, worst = list(_list_stored(chain)), 0.0
    for matrix in stored:
        spectra = Spectra(chain.triple, matrix.store.settings, matrix.store.root)
        error = residual(spectra.task_vector(matrix.name), spectra.load(matrix.name))
        recorded = spectra.ensure(matrix.name)["quality"]["residual"]
        if not error <= MARGIN * recorded + ROUNDING:
            raise BrokenLinkError(
                f"{matrix.path} misses {error:.1e} of the task vector, not the recorded"
                f" {recorded:.1e}: {AGAIN}."
            )
        worst = max(worst, error)
    return f"relative residuals of at most {worst:.1e}" if stored else _describe(chain, stored)


def _list_settings(chain: Chain) -> dict[SpectrumSettings, None]:
    """List the settings of the spectra that the study's recipes name."""
    return dict.fromkeys(r.spectrum for r in chain.recipes.values() if r.spectrum is not None)


def _list_stored(chain: Chain) -> Iterator[StoredMatrix]:
    shapes = {name: chain.triple.header("lrm", name).shape for name in chain.triple.names()}
    for settings in _list_settings(chain):
        store = SpectrumStore(chain.layout.spectra, chain.digests["base"], chain.digests["lrm"], settings)
        if store.folder.is_dir():
            yield from (StoredMatrix(store, name, shape) for name, shape in shapes.items() if len(shape) == 2)


def _describe(chain: Chain, stored: list[StoredMatrix]) -> str:
    if not _list_settings(chain):
        return "none needed by this study"
    if not stored:
        return "none kept: they follow from the checkpoints"
    return f"{len(stored)} matrices, key {', '.join(dict.fromkeys(matrix.store.key for matrix in stored))}"
