"""Shared parameters: a dataclass stands for its fields, and a function may change their defaults."""

from dataclasses import dataclass

import pytest

from frism.errors import UserError
from frism.method.parameters import read_signature


@dataclass(frozen=True)
class Shared:
    rate: float = 0.5
    steps: int = 3


SLOW = Shared(rate=0.25)


def plain(*, extra: bool = False, shared: Shared) -> None: ...


def slow(*, extra: bool = False, shared: Shared = SLOW) -> None: ...


def test_fields_count_one_by_one_and_come_back_as_the_dataclass() -> None:
    signature = read_signature(plain, "here", (), ())
    assert {n: p.default for n, p in signature.parameters.items()} == {
        "extra": False,
        "rate": 0.5,
        "steps": 3,
    }
    assert signature.keywords({}, {"extra": True, "rate": 1.0, "steps": 9}) == {
        "extra": True,
        "shared": Shared(1.0, 9),
    }


def test_an_instance_as_the_default_gives_its_own_defaults() -> None:
    signature = read_signature(slow, "here", (), ())
    assert {n: p.default for n, p in signature.parameters.items()} == {
        "extra": False,
        "rate": 0.25,
        "steps": 3,
    }


def test_a_field_without_a_default_is_named() -> None:
    @dataclass
    class Bare:
        rate: float

    def bare(*, shared: Bare) -> None: ...

    with pytest.raises(UserError, match="here: field 'rate' of Bare needs a default"):
        read_signature(bare, "here", (), ())
