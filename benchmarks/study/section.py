"""The base of every section of a study's config, and of every slice of it that a stage reads."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from frism.errors import UserError, describe_first_fault
from frism.files import read_json


class Section(BaseModel):
    """A part of a study's config: an unknown key in it is a typo."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Slice(BaseModel):
    """What of a study one stage reads, and so what makes the stage run again; other keys do not reach it.

    A stage imports its own slice alone: a change in another stage's settings is no change in its code.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the slice from a study's record (study.json). Raises UserError in one sentence."""
        record = read_json(path)
        if not isinstance(record, dict) or "config" not in record:
            raise UserError(f"{path} is no record of a study: write it with snakemake, or name study.json.")
        try:
            return cls.model_validate(record["config"])
        except ValidationError as error:
            raise UserError(f"{path}: {describe_first_fault(error)}.") from None

    @classmethod
    def of(cls, config: BaseModel) -> Self:
        """Take the slice of a checked config."""
        return cls.model_validate(config.model_dump(mode="json"))
