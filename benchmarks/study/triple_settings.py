"""Say which three checkpoints a study merges: the `triple` part of its config."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from benchmarks.study.section import Section

if TYPE_CHECKING:
    from frism.triples.triple import Triple


class TripleSettings(Section):
    """Holds three checkpoint folders, as `from_pretrained` reads them."""

    base: str = Field(description="the base model that both others grew from")
    vlm: str = Field(description="the vision-language model, which receives")
    lrm: str = Field(description="the reasoning model, which gives")

    @field_validator("*")
    @classmethod
    def _expand_home(cls, folder: str) -> str:
        return str(Path(folder).expanduser()) if folder.startswith("~") else folder

    @property
    def folders(self) -> dict[str, str]:
        """Return the folders by role."""
        return {"base": self.base, "vlm": self.vlm, "lrm": self.lrm}

    def open(self, scope: str = "mat", *, base: str | None = None, text_receiver: bool = False) -> "Triple":
        """Open the triple, or the one with another base. Raises UserError as `Triple.open`."""
        from frism.triples.triple import Triple  # a plan is made without torch

        return Triple.open(base or self.base, self.vlm, self.lrm, scope=scope, text_receiver=text_receiver)
