"""JSON of a command line as the settings that it stands for."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from frism.errors import UserError, describe_first_fault

Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], text: str, what: str) -> Model:
    """Read JSON. Raises UserError in one sentence that begins with `what`."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"{what}: {describe_first_fault(error)}.") from None
