"""Both ways through a gated layer: equal to the merged matrix, with the gradients that it would have."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import linear
from torch.utils._python_dispatch import TorchDispatchMode

from frism.gates import branch
from frism.gates.branch import RebuiltWeight, SideBranch, WholeMatrix, rebuilding_pays

SIZES = st.integers(1, 7)


class Layer:
    """Random fp64 inputs of one layer; the tail is contained in the weight, as its caller leaves it."""

    def __init__(self, d_out: int, d_in: int, k: int, tokens: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)

        def random(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        self.plain, self.bias, self.tau = random(d_out, d_in), random(d_out), random(d_out, d_in)
        self.u, self.vh = random(d_out, k), random(k, d_in)
        self.x, self.delta = random(tokens, d_in).requires_grad_(), random(tokens, d_out)
        self.gains, self.tail = random(k).requires_grad_(), random(1)[0].requires_grad_()

    def by(self, way: type[torch.autograd.Function]) -> list[Tensor]:
        weight = self.plain + self.tail.detach() * self.tau
        y = way.apply(
            self.x, self.gains, self.tail, weight, self.bias, lambda: (self.u, self.vh), lambda: self.tau
        )
        return [y, *torch.autograd.grad(y, [self.x, self.gains, self.tail], self.delta)]

    def dense(self) -> list[Tensor]:
        """Plain autograd through the merged matrix."""
        merged = self.plain + self.tail * self.tau + self.u @ torch.diag(self.gains) @ self.vh
        y = linear(self.x, merged, self.bias)
        return [y, *torch.autograd.grad(y, [self.x, self.gains, self.tail], self.delta)]


@settings(deadline=None)
@given(d_out=SIZES, d_in=SIZES, k=SIZES, tokens=SIZES, seed=st.integers(0, 999), kept=st.booleans())
def test_outputs_and_gradients_are_those_of_the_merged_matrix(d_out, d_in, k, tokens, seed, kept) -> None:
    layer = Layer(d_out, d_in, k, tokens, seed)
    expected = layer.dense()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(branch, "MAX_KEPT_ENTRIES", 100 if kept else 0)
        for way in (SideBranch, RebuiltWeight):
            for got, wanted in zip(layer.by(way), expected, strict=True):
                torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)


def test_one_gain_for_the_whole_matrix_has_the_gradients_of_the_merged_matrix() -> None:
    layer = Layer(5, 4, 1, 3)
    gain = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    y = WholeMatrix.apply(layer.x, gain, layer.plain, layer.bias, lambda: (layer.tau,))
    dense = linear(layer.x, layer.plain + gain * layer.tau, layer.bias)
    torch.testing.assert_close(y, dense)
    for got, wanted in zip(*(torch.autograd.grad(z, [layer.x, gain], layer.delta) for z in (y, dense)),
                           strict=True):  # fmt: skip
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("way", [SideBranch, RebuiltWeight])
def test_gradients_against_finite_differences(way) -> None:
    layer = Layer(4, 3, 2, 5)

    def apply(x: Tensor, gains: Tensor) -> Tensor:
        return way.apply(x, gains, None, layer.plain, layer.bias, lambda: (layer.u, layer.vh), None)

    assert torch.autograd.gradcheck(apply, (layer.x, layer.gains))


class Shapes(TorchDispatchMode):
    """Records the shape of every tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None):
        result = func(*args, **(kwargs or {}))
        view = func._schema.returns and func._schema.returns[0].alias_info is not None
        if isinstance(result, Tensor) and not view:
            self.made.append(tuple(result.shape))
        return result


def test_the_branch_makes_no_tensor_of_the_weights_shape_and_keeps_only_v_x() -> None:
    layer, kept = Layer(11, 13, 5, 3), []
    with (
        torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(tuple(t.shape)) or t, lambda t: t),
        Shapes() as shapes,
    ):
        y = SideBranch.apply(
            layer.x, layer.gains, None, layer.plain, layer.bias, lambda: (layer.u, layer.vh), None
        )
        y.backward(layer.delta)
    assert (3, 5) in shapes.made
    assert not {(11, 13), (13, 11)} & set(shapes.made)
    assert sorted(kept) == sorted([(5,), (11, 13), (3, 5)])  # gains, the weight itself, V^T x


def test_inputs_that_need_no_gradient_get_none() -> None:
    layer = Layer(6, 5, 3, 4)
    y = SideBranch.apply(
        layer.x.detach(), layer.gains, None, layer.plain, None, lambda: (layer.u, layer.vh), None
    )
    with Shapes() as shapes:
        y.backward(layer.delta)
    assert layer.x.grad is None
    assert (4, 5) not in shapes.made  # no product towards x


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_sixteen_bit_weights_give_sixteen_bit_outputs_and_gradients_in_the_gates_precision(stored) -> None:
    layer = Layer(32, 24, 8, 6)
    expected = layer.dense()
    factors = (layer.u.to(stored), layer.vh.to(stored))
    weight = (layer.plain + layer.tail.detach() * layer.tau).bfloat16()
    x, gains = layer.x.detach().bfloat16().requires_grad_(), layer.gains.detach().float().requires_grad_()
    for way in (SideBranch, RebuiltWeight):
        y = way.apply(x, gains, None, weight, layer.bias.bfloat16(), lambda: factors, None)
        of_x, of_gains = torch.autograd.grad(y, [x, gains], layer.delta.bfloat16())
        assert (y.dtype, of_x.dtype, of_gains.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
        for got, wanted in zip((y, of_x, of_gains), expected, strict=False):
            assert (got.double() - wanted).norm() < 0.02 * wanted.norm()


class Multiplications(TorchDispatchMode):
    """Counts those of all matrix products inside."""

    count = 0

    def __torch_dispatch__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None):
        if func.overloadpacket.__name__ in ("mm", "addmm", "addmm_"):
            left, right = args[-2:]
            self.count += left.shape[0] * left.shape[1] * right.shape[1]
        return func(*args, **(kwargs or {}))


@settings(deadline=None, max_examples=60)
@given(d_out=st.integers(1, 24), d_in=st.integers(1, 24), k=st.integers(1, 24), tokens=st.integers(1, 40),
       kept=st.booleans())  # fmt: skip
def test_the_way_with_fewer_multiplications_is_taken(d_out, d_in, k, tokens, kept) -> None:
    layer, counts = Layer(d_out, d_in, k, tokens), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(branch, "MAX_KEPT_ENTRIES", 24 * 24 if kept else 0)
        for way in (SideBranch, RebuiltWeight):
            with Multiplications() as executed:
                layer.by(way)
            counts[way] = executed.count
        assert counts[SideBranch] > 2 * tokens * d_out * d_in
        assert rebuilding_pays(d_out, d_in, tokens) == (counts[RebuiltWeight] < counts[SideBranch])


def test_large_layers_take_the_branch_and_the_miniature_rebuilds() -> None:
    assert not rebuilding_pays(3584, 3584, 1024)
    assert not rebuilding_pays(18944, 3584, 4096)
    assert rebuilding_pays(384, 128, 512)
