"""Say which three checkpoints a study merges: the `triple` part of its config."""

from pydantic import Field

from benchmarks.study.section import Section


class TripleSettings(Section):
    """Three checkpoint folders, as `from_pretrained` reads them."""

    base: str = Field(description="the base model that both others grew from")
    vlm: str = Field(description="the vision-language model, which receives")
    lrm: str = Field(description="the reasoning model, which gives")

    @property
    def folders(self) -> dict[str, str]:
        """The folders by role, as `Triple.open` takes them."""
        return {"base": self.base, "vlm": self.vlm, "lrm": self.lrm}
