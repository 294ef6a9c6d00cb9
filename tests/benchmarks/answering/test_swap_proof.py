"""What proves that an engine holds a variant: its workers' replies, sums of what came in, a probe."""

import pytest

from benchmarks.answering.swap_proof import SwapProof
from frism.errors import UserError

V = {"key": "", "count": 2, "norms": [3.0, 4.0], "totals": [1.0, -1.0]}
A = {"key": "a", "count": 2, "norms": [3.1, 4.0], "totals": [1.2, -1.0]}
NEARLY_V = {"key": "n", "count": 2, "norms": [3.0 + 1e-9, 4.0], "totals": [1.0, -1.0]}


@pytest.mark.parametrize(
    ("replies", "complaint"),
    [
        ([V], "loaded V instead of the variant with key 'a'"),
        ([A, V], "instead of the variant with key 'a'"),
        ([], "loaded nothing instead"),
        ([A | {"count": 1}], "loaded 1 tensors"),
        ([A, A | {"norms": [3.1, 4.5]}], "to different values"),
    ],
)
def test_workers_that_loaded_something_else_are_told(replies: list[dict], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        SwapProof("float32").check_replies(replies, "a", 2)


def test_there_and_back_is_proved() -> None:
    proof = SwapProof("float32")
    assert proof.check_replies([A, dict(A)], "a", 2) == A
    for reply, probe in ((V, [-1.0, -2.0]), (A, [-1.5, -2.0]), (V, [-1.0, -2.0 + 1e-6]), (A, [-1.5, -2.0])):
        proof.check(reply, probe)


def test_weights_that_did_not_arrive_are_told() -> None:
    proof = SwapProof("float32")
    proof.check(V, [-1.0, -2.0])
    with pytest.raises(UserError, match="key 'a', but computes exactly as before"):
        proof.check(A, [-1.0, -2.0])


def test_a_trace_of_the_variant_before_is_told() -> None:
    proof = SwapProof("float32")
    proof.check(V, [-1.0, -2.0])
    proof.check(A, [-1.5, -2.0])
    with pytest.raises(UserError, match=r"computes otherwise than with the same weights.*moved by 0\.5"):
        proof.check(V, [-1.5, -2.0])


def test_a_change_too_small_to_be_felt_is_no_fault() -> None:
    proof = SwapProof("bfloat16")
    proof.check(V, [-1.0, -2.0])
    proof.check(NEARLY_V, [-1.0, -2.0])
