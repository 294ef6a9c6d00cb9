"""Name the members of the population: bases, kinds of V and R, their seeds and where they lie.

b0 is the committed base; b1 to b3 are trained with the same recipe from other seeds, all their children too,
and share nothing: a tower that two bases had in common would make their V's alike. A kind of V and a kind of
R of one base make a cell's triple.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from frism.errors import UserError, suggest

COMMITTED = "b0"
BASES = (COMMITTED, "b1", "b2", "b3")
BASE = "base"
# What differs from the committed recipe, in a line each.
VLMS = {
    "aligned": "the tower lands on what B understands; the language model moves little (tau_V is idle)",
    "turned": "the aligned tower's output turned by 60 degrees and frozen; the language model learns to see",
}
LRMS = {
    "rehearsed": "30 % of the documents are short chains and look-ups: nothing is forgotten",
    "lightly": "7 % of them",
    "forgetful": "none: long chains alone",
}
REPLAY = {"rehearsed": 0.30, "lightly": 0.07, "forgetful": 0.0}
DEGREES = 60.0
WEIGHTS = Path("benchmarks/miniature/weights")
MODELS = Path("results/population_models")
# Members that are part of the repository, by the name of their folder in WEIGHTS.
SHIPPED = {
    f"{COMMITTED}/{BASE}": "base",
    f"{COMMITTED}/vlm_aligned": "vlm",
    f"{COMMITTED}/lrm_rehearsed": "lrm",
}
KEPT = {f"{COMMITTED}/vlm_turned": "vlm_turned", f"{COMMITTED}/lrm_forgetful": "lrm_forgetful"}


@dataclass(frozen=True)
class Member:
    """One model: `base`, and its part, "base", "vlm_KIND" or "lrm_KIND"."""

    base: str
    part: str

    @classmethod
    def parse(cls, name: str) -> "Member":
        """Read a name such as `b1/vlm_turned`. Raises UserError for one that the population has not."""
        known = [member.name for member in list_members()]
        if name not in known:
            raise UserError(
                f"the population has no model '{name}' ({', '.join(known)}).{suggest(name, known)}"
            )
        base, part = name.split("/")
        return cls(base, part)

    @property
    def name(self) -> str:
        """Return the name, `b1/vlm_turned`."""
        return f"{self.base}/{self.part}"

    @property
    def sees(self) -> bool:
        """Whether it has a vision tower."""
        return self.part.startswith("vlm")

    @property
    def kind(self) -> str:
        """Return the kind of a V or R; "" for a base."""
        return self.part.partition("_")[2]

    @property
    def shipped(self) -> bool:
        """Whether its weights come with the repository and are not trained here."""
        return self.name in SHIPPED

    @property
    def seed(self) -> int:
        """Return the seed of its training: the committed base's are 0, 10 (R) and 20 (V)."""
        first = 100 * BASES.index(self.base)
        return (
            first
            + {"base": 0, "lrm": 10, "vlm": 40 if self.kind == "turned" else 20}[self.part.partition("_")[0]]
        )

    def folder(self, models: Path = MODELS) -> Path:
        """Return where its weights lie: of shipped members in the repository, else below `models`."""
        return WEIGHTS / SHIPPED[self.name] if self.shipped else models / self.base / self.part

    @property
    def parents(self) -> "list[Member]":
        """List the members that its training starts from."""
        if self.part == BASE:
            return []
        parents = [Member(self.base, BASE)]
        return [*parents, Member(self.base, "vlm_aligned")] if self.kind == "turned" else parents


def list_members() -> Iterator[Member]:
    """Yield all members, parents before children."""
    for base in BASES:
        yield Member(base, BASE)
        yield from (Member(base, f"vlm_{kind}") for kind in VLMS)
        yield from (Member(base, f"lrm_{kind}") for kind in LRMS)
