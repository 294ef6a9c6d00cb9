"""Say which three checkpoints a study merges: the `triple` part of its config."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from benchmarks.study.section import Section
from frism.triples.donors import split_donor

if TYPE_CHECKING:
    from frism.triples.triple import Triple


class TripleSettings(Section):
    """Holds three checkpoint folders, as `from_pretrained` reads them; R may be made of several donors."""

    base: str = Field(description="the base model that both others grew from")
    vlm: str = Field(description="the vision-language model, which receives")
    lrm: str | list[str] = Field(
        description="the reasoning model, which gives: a folder, a base with an adapter (FOLDER+ADAPTER), or"
        " a list of donors, each as WEIGHT*FOLDER or all without a weight"
    )

    @field_validator("*")
    @classmethod
    def _expand_home(cls, source: str | list[str]) -> str | list[str]:
        def expand(folder: str) -> str:
            return str(Path(folder).expanduser()) if folder.startswith("~") else folder

        return expand(source) if isinstance(source, str) else [expand(one) for one in source]

    @property
    def sources(self) -> list[str]:
        """Return B, V and the donors, as the commands of `frism` take them."""
        return [self.base, self.vlm, *([self.lrm] if isinstance(self.lrm, str) else self.lrm)]

    @property
    def folders(self) -> dict[str, str]:
        """Return the folders by role; those of a made donor by the donor as it is written."""
        found = {"base": self.base, "vlm": self.vlm}
        for source in self.sources[2:]:
            parts = split_donor(source)
            plain = self.lrm == source and parts == [source]
            found |= {"lrm": source} if plain else {f"lrm {source}: {part}": part for part in parts}
        return found

    def open(self, scope: str = "mat", *, base: str | None = None, text_receiver: bool = False) -> "Triple":
        """Open the triple, or the one with another base. Raises UserError as `Triple.open`."""
        from frism.triples.triple import Triple  # a plan is made without torch

        return Triple.open(base or self.base, self.vlm, self.lrm, scope=scope, text_receiver=text_receiver)
