"""Patches are embedded by a product where a kernel sees one patch, and as ever elsewhere."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from benchmarks.answering.patch_embedding import list_patch_embeddings, multiply_patches
from tests.support import tiny_vlms


@pytest.mark.parametrize("bias", [True, False])
def test_the_product_is_the_convolution(bias: bool) -> None:
    convolution = nn.Conv3d(3, 8, (2, 14, 14), stride=(2, 14, 14), bias=bias).double()
    patches = torch.randn(50, 3, 2, 14, 14, dtype=torch.float64)
    with multiply_patches(list_patch_embeddings(convolution)):
        product = convolution(patches)
    torch.testing.assert_close(product, convolution(patches), rtol=1e-12, atol=1e-12)


def test_a_video_of_several_positions_is_convolved() -> None:
    convolution = nn.Conv3d(3, 8, (2, 4, 4), stride=(2, 4, 4))
    video = torch.randn(1, 3, 4, 8, 8)
    with multiply_patches([convolution]):
        assert torch.equal(convolution(video), nn.Conv3d.forward(convolution, video))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv3d(3, 8, 4, stride=2),
        lambda: nn.Conv3d(3, 8, 4, stride=4, padding=1),
        lambda: nn.Conv3d(4, 8, 4, stride=4, groups=2),
        lambda: nn.Conv2d(3, 8, 4, stride=4),
    ],
)
def test_kernels_that_see_more_than_a_patch_are_left_alone(make: Callable[[], nn.Module]) -> None:
    assert not list_patch_embeddings(make())


def test_the_model_is_as_before_also_after_an_error() -> None:
    model, _ = tiny_vlms.make("qwen2_5_vl")
    (convolution,) = list_patch_embeddings(model)
    with pytest.raises(KeyError), multiply_patches([convolution]):
        assert "forward" in vars(convolution)
        raise KeyError
    assert "forward" not in vars(convolution)
