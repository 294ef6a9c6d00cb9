"""Name the files of a study's results folder, for the stages that write and read them."""

from dataclasses import dataclass
from pathlib import Path

RECORD = "study.json"


@dataclass(frozen=True)
class Layout:
    """The folder of one study's results.

    Attributes:
        root: `results/<study>`.
    """

    root: Path

    @classmethod
    def beside(cls, record: Path) -> "Layout":
        """The folder that a study's record lies in."""
        return cls(record.parent)

    @property
    def record(self) -> Path:
        """What the study is run with."""
        return self.root / RECORD

    @property
    def spectra(self) -> Path:
        """The singular directions of the reasoning task vector."""
        return self.root / "spectra"

    def items(self, own: str | None = None) -> Path:
        """The questions of all variants, or those of a variant that is asked in its own way."""
        return self.root / ("items" if own is None else f"items_of/{own}")

    def variant(self, name: str, point: int | None = None) -> Path:
        """A variant's recipe and choice, or one point of its grid."""
        folder = self.root / "variants" / name
        return folder if point is None else folder / "points" / str(point)
