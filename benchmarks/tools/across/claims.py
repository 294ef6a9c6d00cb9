"""Read the claims that a population is judged by, and judge one: holds, fails or undecided.

The claims, their numbers and their bounds stand in `claims.yaml`, which was written before any study of the
population was run; docs/claims.md explains them.
"""

import math
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmarks.study.faults import describe_fault
from frism.errors import UserError

FILE = Path(__file__).with_name("claims.yaml")
HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Difference(_Strict):
    """The test score of a variant minus that of another, in one group, each as chosen on dev."""

    kind: Literal["difference"]
    variant: str
    against: str
    group: str


class Price(_Strict):
    """What a variant loses of a group at a given reasoning on dev; minus what another loses, if one is named.

    `share`: the reasoning, from V's (0) to the best that it, or that both, can reach (1).
    """

    kind: Literal["price"]
    variant: str
    against: str | None = None
    group: str
    share: float = Field(gt=0, le=1)


class Layers(_Strict):
    """A number of a study's table of claims on layers (benchmarks/analyses), averaged over modules."""

    kind: Literal["layers"]
    claim: str
    variant: str


Measure = Annotated[Difference | Price | Layers, Field(discriminator="kind")]


class Claim(_Strict):
    """One claim of a paper: in words, as a number, and the bound that the number has to lie above."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    paper: Literal["FRISM", "BR2V"]
    says: str
    measure: Measure
    above: float


class Claims(_Strict):
    """All claims, and the rule: the level of intervals, and of how many bases a verdict needs at least."""

    confidence: float = Field(gt=0.5, lt=1)
    least_bases: int = Field(ge=2)
    claims: tuple[Claim, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _name_each_once(self) -> Self:
        names = [claim.name for claim in self.claims]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the claim {name} is there twice")
        return self


@cache
def read_claims(path: Path = FILE) -> Claims:
    """Read the claims of a file. Raises UserError, in one sentence, for a file that holds none."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the claims in {path} ({' '.join(str(error).split())}).") from None
    try:
        return Claims.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {describe_fault(Claims, content, error)}") from None


def judge(low: float, high: float, bound: float, bases: int, least: int) -> str:
    """Judge a claim that a number lies above `bound`, by the number's interval over triples.

    Holds where the whole interval lies above, fails where the whole lies below, undecided otherwise: with no
    interval, and of fewer than `least` bases.
    """
    if bases < least or math.isnan(low) or math.isnan(high):
        return UNDECIDED
    return HOLDS if low > bound else FAILS if high < bound else UNDECIDED
