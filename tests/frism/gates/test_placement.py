"""Factors resident or streamed: which fit, what is on its way, how much is held at once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frism.gates.placement import SHARE, Placement, read_free_memory

CPU = torch.device("cpu")
MATRICES = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")


def name(layer: int, matrix: str) -> str:
    return f"layers.{layer}.{matrix}.weight"


def factors(seed: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator).to(dtype) for shape in ((6, 2), (2, 4)))


def filled(how: str, layers: int, dtype: torch.dtype = torch.bfloat16, **options) -> Placement:
    placement = Placement(how, **options)
    for layer in range(layers):
        for place, matrix in enumerate(MATRICES):
            placement.put(name(layer, matrix), factors(10 * layer + place, dtype), CPU, torch.float32)
    return placement


def a_step(layers: int, recomputed: bool) -> list[str]:
    """The order of a forward and a backward pass; `recomputed`: as with checkpointing per layer."""
    forward = [name(layer, matrix) for layer in range(layers) for matrix in MATRICES]
    if not recomputed:
        return forward + forward[::-1]
    again = [
        name(layer, matrix)
        for layer in reversed(range(layers))
        for matrix in (*MATRICES, *reversed(MATRICES))
    ]
    return forward + again


@given(layers=st.integers(1, 6), recomputed=st.booleans())
def test_streamed_factors_are_there_before_their_layer_and_at_most_two_layers_at_once(layers, recomputed):
    placement = filled("streamed", layers)
    fetched: list[int] = []
    fetch = placement.stream._fetch
    placement.stream._fetch = lambda layer: (fetched.append(layer), fetch(layer))[1]
    late, layer = [], 0
    for step, asked in enumerate(a_step(layers, recomputed) * 2):
        before = placement.stream.layers_on_device
        layer = int(asked.split(".")[1])
        if layer not in before:
            late.append(step)
        taken = placement.take(asked)
        expected = factors(10 * layer + MATRICES.index(asked.removesuffix(".weight").split(".", 2)[2]),
                           torch.bfloat16)  # fmt: skip
        assert all(torch.equal(t, e.float()) for t, e in zip(taken, expected, strict=True))
        assert len(placement.stream.layers_on_device) <= 2
    assert late == [0]
    # Nothing is fetched in vain: a pass brings every layer once, and keeps the two at which it turns.
    assert len(fetched) <= 4 * layers


def test_on_the_cpu_a_factor_in_the_wanted_dtype_is_used_where_it_lies():
    own = factors(0)
    for how in ("auto", "resident", "streamed"):
        placement = Placement(how, free=lambda device: 0)
        placement.put(name(0, MATRICES[0]), own, CPU, torch.float32)
        assert all(t.data_ptr() == o.data_ptr() for t, o in zip(placement.take(name(0, MATRICES[0])), own,
                                                                strict=True))  # fmt: skip


def test_auto_keeps_what_fits_and_streams_the_rest():
    size = sum(t.numel() for t in factors(0)) * 4
    placement = filled("auto", 3, free=lambda device: int(5.5 * size / SHARE))
    order = [name(layer, matrix) for layer in range(3) for matrix in MATRICES]
    assert list(placement.resident) == order[:5]
    assert list(placement.stream.host_factors) == order[5:]
    resident = filled("resident", 3)
    for asked in (*order, *reversed(order)):
        for got, wanted in zip(placement.take(asked), resident.take(asked), strict=True):
            assert torch.equal(got, wanted)


def test_free_memory_of_this_machine_is_positive():
    assert read_free_memory(CPU) > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_streaming_to_a_gpu_gives_the_same_factors():
    device, placement = torch.device("cuda"), Placement("streamed")
    for layer in range(3):
        placement.put(name(layer, MATRICES[0]), factors(layer), device, torch.float32)
    assert placement.stream.host_factors[name(0, MATRICES[0])].tensors[0].is_pinned()
    for layer in (0, 1, 2, 2, 1, 0):
        for got, wanted in zip(placement.take(name(layer, MATRICES[0])), factors(layer), strict=True):
            assert got.is_cuda
            assert torch.equal(got.cpu(), wanted)
