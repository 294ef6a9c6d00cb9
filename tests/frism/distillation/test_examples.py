"""Batches: every question once, little padding, kept over kills; a sentence for what cannot be read."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from frism.compute import Compute
from frism.distillation import examples as module
from frism.distillation.example_cache import ExampleCache
from frism.distillation.examples import make_examples
from frism.distillation.receiver import Receiver
from frism.distillation.teacher import TeacherSettings
from frism.errors import UserError
from frism.triples.triple import Triple

ASKING = TeacherSettings(max_new_tokens=2)


@pytest.fixture(scope="module")
def receiver(triple: Triple) -> Receiver:
    return Receiver.load(triple, Compute())


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many questions each call to the teacher had."""
    sizes: list[int] = []
    original = module.answer_questions

    def counted(receiver: Receiver, inputs: Sequence[Any], asking: TeacherSettings) -> Any:
        sizes.append(len(inputs))
        return original(receiver, inputs, asking)

    monkeypatch.setattr(module, "answer_questions", counted)
    return sizes


class Lazy(Sequence[Any]):
    """Opens a picture when asked for it, as calibration sets do."""

    def __init__(self, folder: Path, count: int) -> None:
        self.paths = [folder / f"{place}.png" for place in range(count)]
        for place, path in enumerate(self.paths):
            Image.new("RGBA", (84, 84), (place * 20, 0, 0, 255)).save(path)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: Any) -> Any:
        return Image.open(self.paths[place]), "word " * (1 + 5 * (place % 3)) + "?"


def lengths(examples: Sequence[Any]) -> list[int]:
    return [int(n) for example in examples for n in example.call["attention_mask"].sum(1)]


def test_every_question_is_in_one_batch_and_padding_is_small(receiver: Receiver, tmp_path: Path) -> None:
    questions = Lazy(tmp_path, 12)
    learned, held = make_examples(receiver, questions, ASKING, batch=3, batches=99, held_out=2, seed=1)
    assert (len(learned), len(held)) == (4, 1)
    assert len(lengths(learned)) == 10
    alone, none = make_examples(receiver, questions, ASKING, batch=1, batches=99, seed=1)
    assert len(none) == 0
    assert sorted(lengths(alone)) == sorted(lengths(learned) + lengths(held))
    padded = sum(int((1 - example.call["attention_mask"]).sum()) for example in learned)
    shuffled = sum(int((1 - e.call["attention_mask"]).sum()) for e in _unsorted(receiver, questions))
    assert padded < shuffled / 2


def _unsorted(receiver: Receiver, questions: Lazy) -> Sequence[Any]:
    window = module.WINDOW
    try:
        module.WINDOW = 1
        return make_examples(receiver, questions, ASKING, batch=3, batches=99, held_out=2, seed=1)[0]
    finally:
        module.WINDOW = window


def test_the_seed_decides_which_questions_are_asked(receiver: Receiver, tmp_path: Path) -> None:
    questions = Lazy(tmp_path, 12)

    def pixels(seed: int) -> list[torch.Tensor]:
        examples, _ = make_examples(receiver, questions, ASKING, batch=2, batches=2, seed=seed)
        return [example.call["inputs_embeds"] for example in examples]

    one, again, other = pixels(0), pixels(0), pixels(1)
    assert len(one) == 2
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_kept_answers_are_not_asked_for_again(
    receiver: Receiver, tmp_path: Path, calibration: SimpleNamespace, asks: list[int]
) -> None:
    def run(key: str = "a") -> tuple[Any, Any]:
        return make_examples(
            receiver, calibration.questions, ASKING, batch=2, batches=9, held_out=2, folder=tmp_path / "kept",
            key=key,
        )  # fmt: skip

    first, _ = run()
    assert asks == [2, 2, 2, 2]
    again, _ = run()
    assert len(asks) == 4
    for one, other in zip(first, again, strict=True):
        assert one.divergence(receiver) == other.divergence(receiver)
        assert torch.equal(one.logits(receiver), other.logits(receiver))
    (tmp_path / "kept" / "1.pt").write_bytes(b"cut short")
    run()
    assert len(asks) == 4 + 3  # the batches of that window: which questions are in it follows from all of it
    run("another teacher")
    assert len(asks) == 4 + 3 + 4


def test_files_are_mapped_not_read(receiver: Receiver, tmp_path: Path, calibration: SimpleNamespace) -> None:
    learned, _ = make_examples(
        receiver, calibration.questions, ASKING, batch=4, batches=9, folder=tmp_path, key="k"
    )
    shelf = ExampleCache(tmp_path, "k")
    for place, example in enumerate(learned):
        found = shelf.get(place)
        assert found is not None
        assert found is shelf.get(place)
        assert torch.equal(found.logits(receiver), example.logits(receiver))
    assert shelf.get(len(learned)) is None
    maps = Path("/proc/self/maps")
    assert not maps.exists() or str(tmp_path / "0.pt") in maps.read_text()


def test_unreadable_pictures_are_named(receiver: Receiver, tmp_path: Path) -> None:
    questions = Lazy(tmp_path, 6)
    questions.paths[2].write_bytes(b"no picture")
    questions.paths[4].write_bytes(questions.paths[4].read_bytes()[:60])
    with pytest.raises(UserError, match=r"cannot be read: .*question [35].*question [35].*: restore or") as e:
        make_examples(receiver, questions, ASKING, batch=2, batches=9)
    assert "2.png" in str(e.value)


def test_too_few_questions_is_one_sentence(receiver: Receiver, calibration: SimpleNamespace) -> None:
    with pytest.raises(UserError, match="8 calibration questions are too few to hold 8 out"):
        make_examples(receiver, calibration.questions, ASKING, batch=2, batches=9, held_out=8)
