"""Give `fit` what it may work with: the models tensor by tensor, questions, dev scores, a working folder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from frism.compute import Compute
from frism.errors import UserError
from frism.method.fitted import Fitted
from frism.method.site import Site
from frism.seeds import make_generator
from frism.triples.triple import Triple

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from frism.spectra.spectra import Spectra, TaskVector
    from frism.spectra.spectrum import Spectrum

ABSENT: Any = None  # of what NEEDS does not name


class Questions(Protocol):
    """Offer unlabelled calibration questions; `digest` identifies pictures and texts."""

    @property
    def questions(self) -> "Sequence[tuple[Image, str]]":
        """Pictures with what is asked about them."""

    @property
    def digest(self) -> str:
        """sha256 of all of them."""


@dataclass(frozen=True)
class DevScores:
    """Hold mean scores on the dev questions, in [0, 1]; `floor`: the least perception allowed."""

    perception: float
    reasoning: float
    floor: float = 0.0

    @property
    def objective(self) -> float:
        """What a search maximises: reasoning; below the floor minus the perception that is missing."""
        shortfall = self.floor - self.perception
        return self.reasoning if shortfall <= 1e-9 else -shortfall


@dataclass(frozen=True)
class Fitting:
    """Offer `fit` its inputs, for one combination of parameters. What NEEDS does not name may be None.

    Attributes:
        scope: the tensors that may be merged.
        seed: of everything random. compute: where a model runs, and in which precision.
        spectra: the singular directions of every matrix of tau_R (NEEDS "spectrum").
        calibration: unlabelled questions (NEEDS "calibration").
        reference: what another variant fitted, with its parameters (NEEDS "reference").
        workspace: a folder for what a long fit keeps between kills; None keeps nothing.
        label: the title of a progress bar. report: called with steps done and steps in all.
        scorer: merges a candidate and asks the dev questions (NEEDS "dev"); `score` calls it.
    """

    triple: Triple
    scope: str = "mat"
    seed: int = 0
    compute: Compute = field(default_factory=Compute)
    spectra: "Spectra" = ABSENT
    calibration: Questions = ABSENT
    reference: Fitted = ABSENT
    workspace: Path | None = None
    label: str = ""
    report: Callable[[int, int], None] = lambda done, total: None
    scorer: Callable[[Fitted], DevScores] | None = None

    @property
    def layers(self) -> int:
        """How many decoder layers the models have."""
        return self.triple.layers

    def sites(self) -> Iterator[Site]:
        """Iterate over the tensors in scope; each is read at first access and can be freed at once."""
        for name in self.triple.names(self.scope):
            yield Site(
                partial(self._read, name), name=name, layer=self.triple.layer(name),
                layers=self.triple.layers, spectrum=partial(self._spectrum, name),
                rng=partial(make_generator, self.seed, name),
            )  # fmt: skip

    def score(self, fitted: Fitted) -> DevScores:
        """Merge on load with `fitted` and answer the dev questions; stored answers are not asked again."""
        if self.scorer is None:
            raise UserError("fitting.score is called: add 'dev' to the method's NEEDS.")
        return self.scorer(fitted.validate(self.label))

    def _read(self, name: str, role: str) -> "Tensor":
        return self.triple.read(role, name, self.compute.torch_device)

    def _spectrum(self, name: str, of: "TaskVector") -> "Spectrum | None":
        if self.spectra is None:
            raise UserError("site.spectrum is read: add 'spectrum' to the method's NEEDS.")
        matrix = len(self.triple.header("vlm", name).shape) == 2
        return self.spectra.of(of).load(name, self.compute.torch_device) if matrix else None
