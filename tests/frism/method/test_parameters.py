"""Parameters: types and ranges from the signature; a dataclass stands for its fields, with defaults."""

from dataclasses import dataclass
from typing import Literal

import pytest

from frism.errors import UserError
from frism.method.discovery import find, list_names
from frism.method.parameters import read_signature
from frism.method.ranges import Count, Share


@dataclass(frozen=True)
class Shared:
    rate: float = 0.5
    steps: Count = 3

    def __post_init__(self) -> None:
        if self.rate > self.steps:
            raise ValueError("the rate exceeds the steps")


SLOW = Shared(rate=0.25)


def plain(site: object, *, extra: bool = False, shared: Shared) -> None: ...


def slow(site: object, *, extra: bool = False, shared: Shared = SLOW) -> None: ...


def test_fields_count_one_by_one_and_come_back_as_the_dataclass() -> None:
    signature = read_signature(plain, "here")
    assert {n: p.default for n, p in signature.parameters.items()} == {
        "extra": False,
        "rate": 0.5,
        "steps": 3,
    }
    assert signature.build_arguments({"extra": True, "rate": 1.0, "steps": 9}) == {
        "extra": True,
        "shared": Shared(1.0, 9),
    }
    with pytest.raises(ValueError, match="the rate exceeds the steps"):
        signature.build_arguments({"extra": True, "rate": 10.0, "steps": 9})


def test_an_instance_as_the_default_gives_its_own_defaults() -> None:
    signature = read_signature(slow, "here")
    assert {n: p.default for n, p in signature.parameters.items()} == {
        "extra": False,
        "rate": 0.25,
        "steps": 3,
    }


def test_a_field_without_a_default_is_named() -> None:
    @dataclass
    class Bare:
        rate: float

    def bare(site: object, *, shared: Bare) -> None: ...

    with pytest.raises(UserError, match="here: field 'rate' of Bare has no default"):
        read_signature(bare, "here")


def test_a_range_is_said_in_words() -> None:
    def ranged(
        site: object, *, a: Share = 0.5, b: Count = 1, c: Literal["x", "y"] = "x", d: bool = True
    ) -> None: ...

    words = {name: p.description for name, p in read_signature(ranged, "here").parameters.items()}
    assert words == {
        "a": "a number above 0 and at most 1",
        "b": "a whole number of at least 1",
        "c": "one of x, y",
        "d": "true or false",
    }


@pytest.mark.parametrize(
    ("method", "params", "sentence"),
    [
        ("frism", {"steps": 0}, "parameter 'steps' must be a whole number of at least 1, not 0"),
        ("frism", {"lr": -1}, "parameter 'lr' must be a number above 0, not -1"),
        ("frism", {"held_out": -1}, "parameter 'held_out' must be a whole number of at least 0, not -1"),
        ("frism_blocks", {"size": 0}, "parameter 'size' must be a whole number of at least 1, not 0"),
        ("frism_closed_form", {"samples": 0}, "parameter 'samples' must be a whole number of at least 1"),
        ("frism_no_injection", {"alpha": 0.3}, "parameter 'alpha' must be 0, not 0.3"),
        ("ties", {"density": 1.5}, "parameter 'density' must be a number above 0 and at most 1, not 1.5"),
        ("dare_linear", {"density": 0.0}, "parameter 'density' must be a number above 0 and at most 1"),
        ("dare_ties", {"density": -0.1}, "parameter 'density' must be a number above 0 and at most 1"),
        ("ip_released", {"rank": 0}, "parameter 'rank' must be a whole number of at least 1, not 0"),
        ("ip_invariant", {"rank": -2}, "parameter 'rank' must be a whole number of at least 1, not -2"),
        ("rank_block", {"block": 9}, "there is no block 9 of 6: they count from 0"),
        ("rank_block", {"block": -1}, "parameter 'block' must be a whole number of at least 0, not -1"),
        ("linear", {"vlm_weight": -0.5}, "the weights sum to 0.0: choose others"),
        ("layer_swap", {"last_kept": -2}, "parameter 'last_kept' must be a whole number of at least -1"),
    ],
)
def test_what_is_out_of_range_is_refused_in_a_sentence(method: str, params: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=f"^method {method}: ") as raised:
        find(method).validate(params)
    assert sentence in str(raised.value)


@pytest.mark.parametrize("name", list_names())
def test_wrong_parameters_are_refused(name: str) -> None:
    method = find(name)
    with pytest.raises(UserError, match=f"method {name} has no parameter 'no_such'"):
        method.validate({"no_such": 1})
    for parameter in method.parameters.values():
        with pytest.raises(UserError, match=f"parameter '{parameter.name}' must be"):
            method.validate({parameter.name: [parameter.default]})
    assert method.validate(method.validate({})) == {p.name: p.default for p in method.parameters.values()}
