"""Define the base of every section of a study's config, and of every slice that a stage reads."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from frism.errors import UserError, describe_first_fault
from frism.files import read_json


class Section(BaseModel):
    """Holds a part of a study's config: an unknown key in it is a typo."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Slice(BaseModel):
    """Holds what one stage reads of a study, and so what makes it run again; other keys do not reach it.

    A stage imports its own slice alone: a change in another stage's settings is no change in its code.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the slice from a study's record (study.json). Raises UserError in one sentence."""
        record = read_json(path)
        if not isinstance(record, dict) or "config" not in record:
            raise UserError(
                f"{path} is not the record of a study: write it with snakemake, or name study.json."
            )
        try:
            return cls.model_validate(record["config"])
        except ValidationError as error:
            raise UserError(f"{path}: {describe_first_fault(error)}.") from None

    @classmethod
    def of(cls, config: BaseModel) -> Self:
        """Take the slice of a checked config."""
        return cls.model_validate(config.model_dump(mode="json"))
