"""The text column: lm-eval's prompts and scores, and a VLM's language tower answering as a language model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from benchmarks.engine import Settings
from benchmarks.extraction import extract
from benchmarks.miniature.suites import rows
from benchmarks.registry import find
from benchmarks.text import ask, load_model, main
from frism.errors import UserError
from frism.triples import Triple

from .conftest import invoke, refused

SETTINGS = Settings(batch_size=8)
TASKS = ["mini_total", "mini_existence"]


def table(model: Any, tokenizer: Any, n: int = 6) -> pd.DataFrame:
    return ask(model, tokenizer, [find(name) for name in TASKS], n, 0, SETTINGS.batch_size)


def test_questions_are_those_of_the_pictures_and_answers_those_of_generate(triple: Triple) -> None:
    model, tokenizer = load_model(triple, "lrm", None, SETTINGS)
    answered = table(model, tokenizer)
    for name in TASKS:
        part, expected = answered[answered["benchmark"] == name], rows(find(name), "test", 6)
        assert part["answer"].tolist() == [r.answer for r in expected]
        for row, asked in zip(part.itertuples(), expected, strict=True):
            prompt = tokenizer.apply_chat_template(
                [{"role": "user", "content": asked.described()}], tokenize=False, add_generation_prompt=True
            )
            inputs = tokenizer(prompt, return_tensors="pt")
            output = model.generate(**inputs, max_new_tokens=96, do_sample=False)[
                0, inputs.input_ids.shape[1] :
            ]
            assert row.raw == tokenizer.decode(output, skip_special_tokens=True)
            assert row.truncated == (tokenizer.eos_token_id not in output.tolist())
            assert row.tokens == len(output) - (not row.truncated)
            found = extract(row.raw, find(name).answers)[0]
            assert (None if pd.isna(row.extracted) else row.extracted) == found
            assert row.correct == float(found == row.answer)


def test_a_vlm_answers_text_with_its_language_tower(triple: Triple) -> None:
    vlm, tokenizer = load_model(triple, "vlm", None, SETTINGS)
    config = vlm.config.text_config.to_dict()
    config["rope_parameters"] = {
        "rope_type": "default",
        "rope_theta": config["rope_parameters"]["rope_theta"],
    }
    config.pop("model_type")
    tower = Qwen2ForCausalLM(Qwen2Config(**config)).eval()
    tower.model.load_state_dict(vlm.model.language_model.state_dict())
    tower.lm_head.weight = vlm.lm_head.weight
    with torch.inference_mode():
        ids = torch.arange(40).reshape(2, 20)
        assert torch.equal(tower(ids).logits, vlm(ids).logits)
    pd.testing.assert_frame_equal(table(vlm, tokenizer), table(tower, tokenizer))


def test_command_line(triple_json: str, variant: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "inject.csv"
    folder = variant("inject", strength=1.0)
    fixed = ["--triple", triple_json, "--questions", "2", "--engine", "{}", "--out", str(out)]
    done = invoke(main, *fixed, "--tasks", "mini_total", "--recipe", folder)
    assert done.exit_code == 0, done.output
    written = pd.read_csv(out, dtype=str)
    assert written["variant"].unique().tolist() == [folder.name]
    assert {"benchmark", "index", "answer", "raw", "extracted", "correct", "truncated"} <= set(written)
    first = out.read_bytes()
    assert invoke(main, *fixed, "--tasks", "mini_total", "--recipe", folder).exit_code == 0
    assert out.read_bytes() == first
    typo = invoke(main, *fixed, "--tasks", "mini_totl", "--model", "lrm")
    assert refused(typo, "unknown benchmark 'mini_totl'")


def test_exactly_one_model_is_asked(triple: Triple, tmp_path: Path) -> None:
    for model, folder in ((None, None), ("vlm", tmp_path), ("other", None)):
        with pytest.raises(UserError, match="either --recipe FOLDER or --model"):
            load_model(triple, model, folder, SETTINGS)
