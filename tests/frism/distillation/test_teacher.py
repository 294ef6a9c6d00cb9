"""The teacher's targets are its own greedy answers, whatever the padding, and KL to itself is zero."""

import io
from types import SimpleNamespace

import pytest
import torch

from frism.compute import Compute
from frism.distillation.prompts import prepare_questions
from frism.distillation.receiver import Receiver
from frism.distillation.targets import FullTarget, TopKTarget
from frism.distillation.teacher import Example, TeacherSettings, answer_questions
from frism.triples.triple import Triple


@pytest.fixture
def receiver(triple: Triple) -> Receiver:
    return Receiver.load(triple, Compute())


def asked(receiver: Receiver, questions: list, **asking: object) -> Example:
    return answer_questions(
        receiver,
        prepare_questions(receiver.processor, questions, range(len(questions))),
        TeacherSettings(**asking),
    )


def log_probs(example: Example, receiver: Receiver) -> torch.Tensor:
    assert isinstance(example.target, FullTarget)
    return example.target.log_probs(receiver)


def test_targets_are_the_greedy_answer_and_batching_changes_nothing(
    receiver: Receiver, calibration: SimpleNamespace
) -> None:
    together = asked(receiver, calibration.questions, max_new_tokens=6)
    ends = together.answer.sum(1).cumsum(0).tolist()
    for row, question in enumerate(calibration.questions):
        alone = asked(receiver, [question], max_new_tokens=6)
        own = slice(ends[row] - int(together.answer[row].sum()), ends[row])
        # Greedy: each answer token is the most likely one, placeholders for pictures left out.
        seen = log_probs(alone, receiver).clone()
        seen[:, [receiver.model.config.image_token_id, receiver.model.config.video_token_id]] = -torch.inf
        assert torch.equal(seen.argmax(-1), alone.tokens)
        assert torch.equal(together.tokens[own], alone.tokens)
        torch.testing.assert_close(
            log_probs(together, receiver)[own], log_probs(alone, receiver), atol=1e-4, rtol=1e-4
        )


def test_nothing_after_the_end_token_is_learned(receiver: Receiver, calibration: SimpleNamespace) -> None:
    first = asked(receiver, calibration.questions, max_new_tokens=8)
    end = first.tokens[2].item()
    receiver.model.generation_config.eos_token_id = end
    batch = asked(receiver, calibration.questions, max_new_tokens=8)
    tokens = batch.tokens[: int(batch.answer[0].sum())]
    assert tokens[-1] == end
    assert end not in tokens[:-1]
    assert len(batch.tokens) < len(first.tokens)
    assert batch.divergence(receiver) == 0


def test_the_first_token_needs_no_answer(receiver: Receiver, calibration: SimpleNamespace) -> None:
    whole = asked(receiver, calibration.questions, max_new_tokens=4)
    first = asked(receiver, calibration.questions, max_new_tokens=4, tokens="first")
    starts = whole.answer.sum(1).cumsum(0) - whole.answer.sum(1)
    assert torch.equal(first.tokens, whole.tokens[starts])
    torch.testing.assert_close(
        log_probs(first, receiver), log_probs(whole, receiver)[starts], atol=1e-4, rtol=1e-4
    )
    assert first.answer.shape[1] < whole.answer.shape[1]


def test_generation_settings_of_a_checkpoint_change_no_answer(
    receiver: Receiver, calibration: SimpleNamespace
) -> None:
    plain = asked(receiver, calibration.questions, max_new_tokens=8)
    config = receiver.model.generation_config
    config.repetition_penalty, config.do_sample, config.top_k, config.temperature = 5.0, True, 3, 2.0
    assert torch.equal(asked(receiver, calibration.questions, max_new_tokens=8).tokens, plain.tokens)


@pytest.mark.parametrize(("top_k", "kind"), [(0, FullTarget), (5, TopKTarget), (10**6, FullTarget)])
def test_an_example_survives_being_stored(
    receiver: Receiver, calibration: SimpleNamespace, top_k: int, kind: type
) -> None:
    example = asked(receiver, calibration.questions[:3], max_new_tokens=3, top_k=top_k)
    assert isinstance(example.target, kind)
    assert example.divergence(receiver).abs() < 1e-6
    stored = io.BytesIO()
    torch.save(example.state(), stored)
    stored.seek(0)
    again = Example.from_state(torch.load(stored, weights_only=True))
    assert torch.equal(again.logits(receiver), example.logits(receiver))
    assert again.divergence(receiver) == example.divergence(receiver)
