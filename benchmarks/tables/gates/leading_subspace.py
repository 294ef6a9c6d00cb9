"""Find the leading subspace of tau_V: as many singular directions as hold half of its energy."""

from dataclasses import dataclass

from torch import Tensor

from frism.spectra.settings import SpectrumSettings
from frism.spectra.spectra import derive_seed
from frism.spectra.spectrum import decompose

SHARE = 0.5  # of the energy: what "leading" means here
EXACT = 1024  # matrices up to this smaller side are decomposed whole
FIRST, LARGEST = 128, 1024  # directions sought in larger ones: doubled until they hold the share, up to this


@dataclass(frozen=True)
class LeadingSubspace:
    """Hold orthonormal directions of a (d_out, d_in) matrix, fp32.

    Attributes:
        u: (d_out, m). vh: (m, d_in).
        held: the share of the squared Frobenius norm that they hold; below SHARE where LARGEST directions do
            not reach it.
    """

    u: Tensor
    vh: Tensor
    held: float


def find_leading_subspace(matrix: Tensor, name: str) -> LeadingSubspace:
    """Find the leading subspace of one matrix, fp32.

    Of large matrices only as many directions are sought as are needed, by whichever solver is cheapest
    (`frism.spectra`; the randomised one is seeded by the tensor's name). Its directions are then not exactly
    the leading ones, but hold nearly as much energy, which is all that an overlap with "the directions that
    hold half" rests on.
    """
    total = float(matrix.double().square().sum())
    size = min(matrix.shape)
    if total == 0:
        return LeadingSubspace(matrix[:, :0], matrix[:0], 0.0)
    sought = size if size <= EXACT else FIRST
    while True:
        spectrum = decompose(matrix, SpectrumSettings(rank=sought), derive_seed(name))
        held = spectrum.s.double().square().cumsum(0) / total
        enough = int((held < SHARE).sum()) + 1  # the first count that reaches the share
        if enough <= len(held) or sought >= min(LARGEST, size):
            count = min(enough, len(held))
            return LeadingSubspace(spectrum.u[:, :count], spectrum.vh[:count], float(held[count - 1]))
        sought = min(2 * sought, LARGEST, size)
