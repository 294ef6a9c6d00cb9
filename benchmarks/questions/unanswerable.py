"""Say that one question cannot be answered, and why: a study may count it as unanswered and go on."""

from typing import Literal, get_args

from frism.errors import UserError

# A picture that cannot be decoded, a prompt longer than the model's positions, a request that is refused.
FailureKind = Literal["picture", "too_long", "refused"]
KINDS: tuple[FailureKind, ...] = get_args(FailureKind)


class UnanswerableError(UserError):
    """One question that cannot be answered; the message names it. Any other error is one of the whole run."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind
