"""Name the files of a study's results folder, for the stages that write and read them."""

from dataclasses import dataclass
from pathlib import Path

RECORD = "study.json"


@dataclass(frozen=True)
class Layout:
    """Names the files in one study's results folder.

    Attributes:
        root: `results/<study>`.
    """

    root: Path

    @classmethod
    def beside(cls, record: Path) -> "Layout":
        """Make the layout of the folder that a study's record lies in."""
        return cls(record.parent)

    @property
    def record(self) -> Path:
        """Return the record of what the study is run with."""
        return self.root / RECORD

    @property
    def spectra(self) -> Path:
        """Return the folder of the singular directions of the reasoning task vector."""
        return self.root / "spectra"

    def items(self, variant: str | None = None) -> Path:
        """Return the folder of the shared questions, or of those of a variant asked in its own way."""
        return self.root / ("items" if variant is None else f"items_of/{variant}")

    def variant(self, name: str, point: int | None = None) -> Path:
        """Return the folder of a variant's recipe and choice, or of one point of its grid."""
        folder = self.root / "variants" / name
        return folder if point is None else folder / "points" / str(point)

    def journal(self, owner: str, kind: str = "") -> Path:
        """Return where the answers of a variant (kind: text, also of a language model) grow line by line."""
        return self.root / "journal" / kind / f"{owner}.jsonl"

    def predictions(self, owner: str, kind: str = "") -> Path:
        """Return where the same answers lie when they are complete."""
        return self.root / "predictions" / kind / f"{owner}.jsonl"

    def text(self, owner: str) -> Path:
        """Return the scores of the text column."""
        return self.root / "text" / f"{owner}.csv"

    def noise(self, variant: str) -> Path:
        """Return how many answers of a variant differ when it is asked in another order, where it was."""
        return self.root / "noise" / f"{variant}.json"

    def costs(self, stage: str, owner: str) -> Path:
        """Return the seconds and memory that a stage took for a variant."""
        return self.root / "costs" / stage / f"{owner}.tsv"
