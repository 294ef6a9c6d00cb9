"""A blank picture: answers no longer depend on which picture it is, and do again afterwards."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.analyses import blank_picture
from benchmarks.analyses.blank_picture import replace_features, spread_mean
from benchmarks.analyses.measuring.ground import Ground
from benchmarks.answering.decoding import decode
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.questions import reading
from frism.errors import UserError
from frism.triples.triple import Triple


def test_a_mean_takes_every_tokens_place() -> None:
    one, other = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[8.0, 0.0]])
    assert spread_mean(one).tolist() == [[2, 3], [2, 3]]
    assert [part.tolist() for part in spread_mean([one, other])] == [[[4, 2], [4, 2]], [[4, 2]]]


def test_pictures_can_be_exchanged_once_they_are_blank(
    triple: Triple, engine: TransformersEngine, items_folder: Path
) -> None:
    """The same question over two pictures: told apart before and after, not between."""
    items = reading.load_items(items_folder, "test", ["mini_number"])["mini_number"]
    first = items[0]
    message = tuple(
        part if part["type"] == "text" else next(p for p in items[1].message if p["type"] == "image")
        for part in first.message
    )
    other = replace(first, message=message, images=items[1].images)
    inputs = engine.preparer.prepare([first, other])
    seen: list[torch.Tensor] = []

    def read() -> torch.Tensor:
        hook = engine.model.register_forward_hook(
            lambda module, given, output: seen.append(output.logits[:, -1])
        )
        decode(engine.model, inputs, max_new_tokens=[1, 1], ends=frozenset())
        hook.remove()
        return seen[-1]

    plain = read()
    assert not torch.allclose(plain[0], plain[1], atol=1e-4)
    _, blank = blank_picture.intervene(Ground(triple, lambda: engine.model))
    with blank.apply():
        same = read()
    torch.testing.assert_close(same[0], same[1])
    assert torch.equal(read(), plain)
    assert not engine.model._forward_pre_hooks


def test_a_tower_inside_is_refused_and_a_text_left_alone() -> None:
    with pytest.raises(UserError, match="Identity runs its vision tower inside"):
        replace_features(torch.nn.Identity(), (), {"pixel_values": torch.ones(1)})
    assert (
        replace_features(torch.nn.Identity(), (), {"input_ids": torch.ones(1), "pixel_values": None}) is None
    )
