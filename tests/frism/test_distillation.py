"""The teacher's targets are its own greedy answers, whatever the padding, and KL to itself is zero."""

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from frism.distillation import answer_log_probs, forward_kl, teacher_batches


def load(triple):
    model = AutoModelForImageTextToText.from_pretrained(triple.vlm_folder).eval()
    return model, AutoProcessor.from_pretrained(triple.vlm_folder)


def test_targets_are_the_greedy_answer_and_batching_changes_nothing(triple, calibration) -> None:
    model, processor = load(triple)
    together = teacher_batches(model, processor, calibration.questions, batch_size=8, max_new_tokens=6)[0]
    for row, question in enumerate(calibration.questions):
        alone = teacher_batches(model, processor, [question], batch_size=1, max_new_tokens=6)[0]
        tokens = alone.inputs["input_ids"][0, 1:][alone.answer[0]]
        # Greedy: each answer token is the most likely one under the stored distribution.
        assert torch.equal(alone.log_probs.argmax(-1), tokens)
        assert torch.equal(together.inputs["input_ids"][row, 1:][together.answer[row]], tokens)
        before = int(together.answer[:row].sum())
        own = together.log_probs[before : before + len(tokens)]
        torch.testing.assert_close(own, alone.log_probs, atol=1e-4, rtol=1e-4)


def test_nothing_after_the_end_token_is_learned(triple, calibration) -> None:
    model, processor = load(triple)
    first = teacher_batches(model, processor, calibration.questions, batch_size=8, max_new_tokens=8)[0]
    end = first.inputs["input_ids"][0, 1:][first.answer[0]][2].item()
    model.generation_config.eos_token_id = end
    batch = teacher_batches(model, processor, calibration.questions, batch_size=8, max_new_tokens=8)[0]
    tokens = batch.inputs["input_ids"][0, 1:][batch.answer[0]]
    assert tokens[-1] == end
    assert end not in tokens[:-1]
    assert batch.inputs["attention_mask"][0].sum() < first.inputs["attention_mask"][0].sum()


def test_kl_to_itself_is_zero_and_positive_to_others(triple, calibration) -> None:
    model, processor = load(triple)
    batch = teacher_batches(model, processor, calibration.questions, batch_size=8, max_new_tokens=4)[0]
    with torch.no_grad():
        again = answer_log_probs(model, batch.inputs, batch.answer)
    torch.testing.assert_close(forward_kl(batch.log_probs, again), torch.tensor(0.0), atol=1e-6, rtol=0)
    flat = torch.full_like(again, -torch.log(torch.tensor(float(again.shape[1]))))
    p = batch.log_probs.exp()
    expected = (p * (batch.log_probs - flat)).sum(-1).mean()
    torch.testing.assert_close(forward_kl(batch.log_probs, flat), expected)
