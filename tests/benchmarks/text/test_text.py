"""The text column: lm-eval's data, prompts and metrics on answers of every style, and a VLM's tower asked."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from benchmarks.answering import keys, predictions
from benchmarks.answering.predictions import Prediction
from benchmarks.questions.miniature import make_rows as rows
from benchmarks.registry.lookup import find
from benchmarks.scoring.extraction import extract
from benchmarks.stages.text import main
from benchmarks.study.engine_settings import CountedFailures, EngineSettings
from benchmarks.text import language_model
from benchmarks.text.ask import ask_questions, check_data
from benchmarks.text.chat import Chat
from benchmarks.text.generated_task import LETTER, STEPS
from benchmarks.text.models import TextModel, find_model
from benchmarks.text.tasks import make_tasks
from frism.errors import UserError
from frism.method.recipe import Recipe
from frism.triples.triple import Triple
from tests.benchmarks.conftest import invoke, refused
from tests.support import architectures, mirrors
from tests.support.loads import count_loads
from tests.support.studies import WEIGHTS, record
from tests.support.thought_tags import TAG, open_thought, teach_tag

SETTINGS = EngineSettings(batch_size=8)
TASKS = ["mini_total", "mini_existence"]
Style = Callable[[str], str]
# Every answer is right; a pattern that looks for a short one finds something else, or nothing.
STYLES: dict[str, Style] = {
    "plain": lambda a: a,
    "boxed": lambda a: f"Step 1: 7 of 9.\n\nTherefore \\boxed{{{a}}}",
    "phrase": lambda a: f"First I thought of 17. The final answer is {a}.",
    "think": lambda a: f"<think>Perhaps 5? Or option D?</think>\n\nThe answer is **{a}**",
}


def who_answers(triple: Triple, model: str = "lrm") -> TextModel:
    return find_model(triple, model, None, SETTINGS)


def table(who: TextModel, journal: Path, n: int = 6) -> pd.DataFrame:
    tasks = make_tasks([find(name) for name in TASKS], n, 0, None)
    return ask_questions(who, tasks, SETTINGS, journal).drop(columns="seconds")


def scripted(monkeypatch: pytest.MonkeyPatch, texts: Sequence[str]) -> None:
    """Let the model say these texts, question by question: a tiny one is never right."""
    said = {str(place): text for place, text in enumerate(texts)}

    def answer(self: Any, batch: Any, asked: Any) -> list[Prediction]:
        texts = [said[item.index.rpartition("/")[2]] for item in batch.items]
        return [
            Prediction(item, key, text, 3, False, 0.1)
            for item, key, text in zip(batch.items, batch.keys, texts, strict=True)
        ]

    monkeypatch.setattr(language_model.JournalledLM, "_answer", answer)


def scored(who: TextModel, name: Any, mirror: Path, journal: Path, n: int | None = None) -> pd.DataFrame:
    return ask_questions(who, make_tasks([find(name)], n, 0, mirror), SETTINGS, journal)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mirror")
    for make in (mirrors.gsm8k, mirrors.math_500, mirrors.mmlu, mirrors.arc_easy, mirrors.winogrande):
        make(folder)
    return folder


# --- the miniature: described scenes ----------------------------------------------------------------


def test_questions_are_those_of_the_pictures_and_answers_those_of_generate(triple, tmp_path):
    who = who_answers(triple)
    (model, _), tokenizer = who.load(), who.chat.tokenizer
    answered = table(who, tmp_path / "lrm.jsonl")
    for name in TASKS:
        part, expected = answered[answered["benchmark"] == name], rows(find(name), "test", 6)
        assert part["answer"].tolist() == [r.answer for r in expected]
        assert part["index"].tolist() == [str(r.index) for r in expected]
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


def test_a_vlm_answers_text_with_its_language_tower(triple, tmp_path):
    who = who_answers(triple, "vlm")
    vlm, _ = who.load()
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
    alone = TextModel("vlm", who.chat, who.ends, {"tower": "alone"}, lambda: (tower, None), who.folder)
    pd.testing.assert_frame_equal(table(who, tmp_path / "a.jsonl"), table(alone, tmp_path / "b.jsonl"))


@pytest.mark.parametrize("family", architectures.FAMILIES)
def test_towers_of_every_family_answer_as_generate_does(family, tmp_path):
    """Rows of unequal length in one batch against one at a time, on tiny models of the true classes."""
    architectures.make(family, tmp_path)
    triple = Triple.open(**{role: tmp_path / role for role in ("base", "vlm", "lrm")})
    for model in ("vlm", "lrm"):
        who = find_model(triple, model, None, SETTINGS)
        # Not the stored one: for Qwen's types transformers puts its own pre-tokenizer over these words.
        (loaded, _), tokenizer = who.load(), architectures.tokenizer()
        tower = language_model.TowerLM(loaded, who.ends, tokenizer=tokenizer, batch_size=4)
        asked = ["w3 w4 w5 w6 w7 w8 w9", "w20 w21", "w50 w51 w52 w53"]
        ids, mask = tower.tok_batch_encode(asked)
        rows = tower._model_generate(ids, ids.shape[1] + 6, stop=[], attention_mask=mask)
        for row, prompt in zip(rows, asked, strict=True):
            own = tokenizer(prompt, return_tensors="pt")
            alone = {"input_ids": own.input_ids, "attention_mask": own.attention_mask}
            expected = loaded.generate(**alone, max_new_tokens=6, do_sample=False)[
                0, own.input_ids.shape[1] :
            ]
            length, truncated = tower.take_length(prompt)
            assert row[ids.shape[1] :][:length].tolist() == expected[:length].tolist()
            assert truncated == (len(expected) == 6 and int(expected[-1]) not in who.ends)


# --- lm-eval's own tasks ----------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ["gsm8k", "math_500", "mmlu", "arc_easy"])
def test_right_answers_of_any_style_score_one(name, style, mirror, triple, tmp_path, monkeypatch):
    gold = {
        "gsm8k": [str(1000 * i + 42) for i in range(6)],
        "math_500": [f"${answer}$" if style != "boxed" else answer for _, answer in mirrors.MATH],
        "mmlu": list("ABCD"),
        "arc_easy": ["B"] * 3,
    }[name]
    scripted(monkeypatch, [STYLES[style](answer) for answer in gold])
    entry = name if name != "arc_easy" else {"name": name, "kind": "lm_eval"}
    found = scored(who_answers(triple), entry, mirror, tmp_path / "j.jsonl")
    assert found["correct"].tolist() == [1.0] * len(gold), found[["raw", "extracted", "rule", "answer"]]
    if style == "think" and name in ("mmlu", "arc_easy"):
        assert found["correct_raw"].max() == 0, "what lm-eval alone makes of the text"


def test_wrong_missing_and_unfinished_answers_score_nothing(mirror, triple, tmp_path, monkeypatch):
    texts = ["The answer is 43.", "I do not know.", "<think>42, or 43", "", "\\boxed{}", "Answer: five"]
    scripted(monkeypatch, texts)
    found = scored(who_answers(triple), "gsm8k", mirror, tmp_path / "j.jsonl")
    assert found["correct"].tolist() == [0.0] * 6
    assert found["rule"].tolist()[2] == "unfinished thought"


def test_a_thought_that_the_template_opens_is_a_thought(mirror, triple, tmp_path, monkeypatch):
    who = who_answers(triple)
    who.chat.tokenizer.chat_template += "{% if add_generation_prompt %}<think>\n{% endif %}"
    scripted(monkeypatch, ["so far 42", "no 7</think>The answer is 1042.", *["</think>"] * 4])
    found = scored(who, "gsm8k", mirror, tmp_path / "j.jsonl")
    assert found["rule"].tolist()[:2] == ["unfinished thought", "answer phrase"]
    assert found["correct"].tolist() == [0, 1, 0, 0, 0, 0]
    assert found["raw"][0] == "so far 42", "the raw text is what was generated"


def test_a_study_may_name_the_tags_itself(mirror, triple, tmp_path, monkeypatch):
    who = who_answers(triple)
    open_thought(who.chat.tokenizer, "{hm}")
    scripted(monkeypatch, ["so far 42", "no 7{/hm}The answer is 1042.", *["{/hm}"] * 4])
    tasks = make_tasks([find("gsm8k")], None, 0, mirror)
    own = SETTINGS.model_copy(update={"thinking": ("{hm}", "{/hm}")})
    found = ask_questions(who, tasks, own, tmp_path / "j.jsonl")
    assert found["rule"].tolist() == ["unfinished thought", "answer phrase", *["empty"] * 4]
    assert found["raw"][1] == "no 7{/hm}The answer is 1042."


@pytest.mark.parametrize("tag", ["<think>", "[THINK]", "<|begin_of_thought|>"])
def test_a_tag_of_any_convention_is_put_back(tag, triple):
    chat = who_answers(triple).chat
    open_thought(chat.tokenizer, tag)
    assert chat.find_thoughts(None).restore("so far 42") == f"{tag}so far 42"
    assert chat.find_thoughts("none").restore("so far 42") == "so far 42"


def test_a_tag_that_is_a_special_token_stays_in_the_answer(tmp_path):
    who = who_answers(Triple.open(**WEIGHTS))  # trained: it is sure of its words
    before = table(who, tmp_path / "before.jsonl")
    (model, _), token = who.load(), who.chat.tokenizer.tokenize(before["raw"][0])[0]
    word = teach_tag(model, who.chat.tokenizer, token)
    after = table(replace(who, load=lambda: (model, None)), tmp_path / "after.jsonl")
    assert after["raw"].tolist() == [raw.replace(word, TAG) for raw in before["raw"]]
    assert TAG in after["raw"][0]
    engines = [
        json.loads((tmp_path / f"{n}.provenance.json").read_text())["engine"] for n in ("before", "after")
    ]
    assert engines[1].pop("thinking") == {"kept": [TAG]}
    assert engines[0] == engines[1], "the keys of a model without tags do not move"


def test_prompts_ask_for_reasoning_and_show_no_examples(mirror):
    tasks = make_tasks(
        [find("gsm8k"), find("math_500"), find("mmlu"), find({"name": "arc_easy", "kind": "lm_eval"})],
        None, 0, mirror,
    )  # fmt: skip
    shown = {name: task.doc_to_text(task.eval_docs[0]) for name, task in tasks.items()}
    assert shown["gsm8k"] == f"Ann has 40 apples and buys two. How many has she?\n\n{STEPS}"
    assert shown["math_500"] == f"{mirrors.MATH[0][0]}\n\n{STEPS}"
    assert shown["mmlu"] == (
        "Which colour is number 0?\nA. a red one\nB. None\nC. a blue one\nD. a green one\n\n" + LETTER
    )
    assert shown["arc_easy"] == (
        "Question: What melts at 0 degrees?\n\nA. iron\nB. ice\nC. stone\n\n" + LETTER
    )
    assert {task.budget for task in tasks.values()} == {4096}
    (short,) = make_tasks([find({"name": "gsm8k", "max_new_tokens": 512})], None, 0, mirror).values()
    assert short.config.generation_kwargs == {"until": [], "do_sample": False, "max_gen_toks": 512}


def test_tags_and_groups_are_their_tasks(mirror, triple, tmp_path, monkeypatch):
    shutil.copytree(mirror, tmp_path / "mirror")
    shutil.copytree(mirror / "allenai/ai2_arc/ARC-Easy", tmp_path / "mirror/allenai/ai2_arc/ARC-Challenge")
    scripted(monkeypatch, ["B", "C", "B"])
    entry = {"name": "ai2_arc", "kind": "lm_eval"}
    found = scored(who_answers(triple), entry, tmp_path / "mirror", tmp_path / "j.jsonl")
    assert found["benchmark"].unique().tolist() == ["ai2_arc"]
    assert found["index"].tolist() == [f"arc_{kind}/{i}" for kind in ("challenge", "easy") for i in range(3)]
    assert found["correct"].tolist() == [1, 0, 1] * 2


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        ("lambada_openai", "asks for loglikelihood, not for an answer"),
        ("arc_eazy", "has no task 'arc_eazy'. Did you mean 'arc_easy'?"),
        ("winogrande", "compares whole sentences instead of asking"),
    ],
)
def test_what_cannot_be_asked_is_said(task, complaint, mirror):
    with pytest.raises(UserError, match=complaint.replace("?", r"\?")):
        make_tasks([find({"name": task, "kind": "lm_eval"})], None, 0, mirror)


# --- data -------------------------------------------------------------------------------------------


def test_a_draw_is_part_of_a_larger_one_and_follows_the_seed(mirror):
    def drawn(n: int | None, seed: int) -> list[int]:
        (task,) = make_tasks([find("gsm8k")], n, seed, mirror).values()
        assert [task.index(p) for p in range(len(task.positions))] == list(map(str, task.positions))
        return task.positions

    assert drawn(None, 0) == list(range(6))
    assert set(drawn(2, 0)) < set(drawn(4, 0))
    assert len({tuple(drawn(3, seed)) for seed in range(8)}) > 1


def test_the_data_are_hashed_and_pinned(mirror, tmp_path):
    def digests(**pins: str) -> dict[str, Any]:
        entry = {"name": "gsm8k", "sha256": pins}
        return check_data(make_tasks([find(entry)], None, 0, tmp_path / "mirror"))

    shutil.copytree(mirror, tmp_path / "mirror")
    before = digests()
    (path,) = before["files"]
    assert path == "openai/gsm8k/main/test-00000-of-00001.parquet"
    assert digests(questions=before["questions"]["gsm8k"], **before["files"]) == before
    file = tmp_path / "mirror" / path
    changed = pd.read_parquet(file)
    changed.loc[0, "answer"] = "#### 0"
    changed.to_parquet(file, index=False)
    assert digests()["questions"] != before["questions"], "the file is read anew, not from a cache"
    for pins in (before["files"], {"questions": before["questions"]["gsm8k"]}):
        with pytest.raises(UserError, match=r"gsm8k: .* has sha256 .* as pinned: restore"):
            digests(**pins)


FILE = "main/test-00000-of-00001.parquet"


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda root: shutil.rmtree(root), "holds no openai/gsm8k: fetch it with `hf download"),
        (lambda root: (root / FILE).unlink(), "no readable split 'test' of main"),
        (lambda root: (root / FILE).write_bytes(b"PAR1"), "no readable split"),
    ],
)
def test_missing_or_broken_data_are_one_sentence(damage, complaint, mirror, tmp_path):
    shutil.copytree(mirror, tmp_path / "mirror")
    damage(tmp_path / "mirror/openai/gsm8k")
    with pytest.raises(UserError, match=complaint) as caught:
        make_tasks([find("gsm8k")], None, 0, tmp_path / "mirror")
    assert "\n" not in str(caught.value)


def test_without_a_mirror_the_hubs_cache_must_hold_the_data(monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)  # no study asks the hub all the same
    with pytest.raises(UserError, match=r"not in the hub's cache .* name the mirror as data\.folder"):
        make_tasks([find("gsm8k")], None, 0, None)


# --- the journal ------------------------------------------------------------------------------------


def test_a_killed_run_goes_on_where_it_was(triple, tmp_path):
    who, journal = who_answers(triple), tmp_path / "lrm.jsonl"
    expected = table(who, journal)
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:5]) + lines[5][:30])
    pd.testing.assert_frame_equal(table(who, journal), expected)
    assert len(journal.read_text().splitlines()) == len(lines)
    found = keys.recompute_keys(journal)
    assert {line.key: line.item for line in predictions.read_predictions(journal)} == found


def test_answers_are_scored_anew_without_a_model(triple, tmp_path):
    journal = tmp_path / "lrm.jsonl"
    expected, content = table(who_answers(triple), journal), journal.read_bytes()

    def refuse() -> Any:
        raise AssertionError("the model was loaded")

    who = who_answers(triple)
    silent = TextModel(who.name, who.chat, who.ends, who.origin, refuse, who.folder)
    pd.testing.assert_frame_equal(table(silent, journal), expected)
    assert journal.read_bytes() == content


def test_another_models_answers_are_never_taken(triple, tmp_path, caplog):
    """What lm-eval's own cache does: its key is the prompt alone."""
    caplog.set_level("INFO")
    journal = tmp_path / "j.jsonl"
    one = table(who_answers(triple, "lrm"), journal)
    other = table(who_answers(triple, "base"), journal)
    assert "answers of another model, prompt or setting removed" in caplog.text
    pd.testing.assert_frame_equal(other, table(who_answers(triple, "base"), tmp_path / "fresh.jsonl"))
    assert one["raw"].tolist() != other["raw"].tolist()


def test_a_budget_beyond_the_models_positions_is_one_sentence(mirror, triple, tmp_path):
    with pytest.raises(UserError, match=r"gsm8k: a prompt of .* 4096 new ones .* max_new_tokens"):
        scored(who_answers(triple), "gsm8k", mirror, tmp_path / "j.jsonl")


# --- chat templates ---------------------------------------------------------------------------------


def test_templates_of_parts_get_parts(triple):
    tokenizer = who_answers(triple).chat.tokenizer
    plain = Chat(tokenizer).prompt([{"role": "user", "content": "What is it?"}])
    # As Idefics and SmolVLM write it: a text would vanish without a word.
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for part in m.content %}"
        "{% if part.type == 'text' %} {{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    in_parts = Chat(tokenizer)
    assert in_parts.in_parts
    assert in_parts.prompt([{"role": "user", "content": "What is it?"}]) == plain
    tokenizer.chat_template = "{{ 'nothing' }}"
    with pytest.raises(UserError, match="leaves the question out"):
        Chat(tokenizer)
    tokenizer.chat_template = None
    with pytest.raises(UserError, match="has no chat template"):
        Chat(tokenizer)


def test_answers_end_where_the_template_closes_a_turn(triple):
    tokenizer = who_answers(triple, "base").chat.tokenizer
    closing = tokenizer.convert_tokens_to_ids("<|im_end|>")
    tokenizer.eos_token = "<|endoftext|>"  # as the tokenizers of base models have it
    assert Chat(tokenizer).ends(triple.base_folder) >= {closing, tokenizer.eos_token_id}


# --- the command ------------------------------------------------------------------------------------


def test_command_line(
    triple_settings: dict[str, str], triple: Triple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "triple": triple_settings,
        "text": ["mini_total"],
        "questions": {"dev": 1, "test": 2},
        "variants": {"vlm": {"method": "vlm"}, "inject": {"method": "inject"}},
    }
    study, out = record(tmp_path, settings), tmp_path / "text" / "inject.csv"
    Recipe.make(triple, "inject", {"strength": 1.0}).save(tmp_path / "variants" / "inject")
    command = ["--study", study, "--variant"]
    done = invoke(main, *command, "inject")
    assert done.exit_code == 0, done.output
    written = pd.read_csv(out, dtype=str)
    assert written["variant"].unique().tolist() == ["inject"]
    assert {"benchmark", "index", "answer", "raw", "extracted", "correct", "truncated"} <= set(written)
    assert len(written) == 2, "as many as of the test questions"
    provenance = json.loads(out.with_suffix(".provenance.json").read_text())
    assert set(provenance["questions"]) == {"mini_total"}
    first, journal = out.read_bytes(), tmp_path / "journal/text/inject.jsonl"
    assert (tmp_path / "predictions/text/inject.jsonl").read_bytes() == journal.read_bytes()
    loads = count_loads(monkeypatch)
    assert invoke(main, *command, "inject").exit_code == 0
    assert out.read_bytes() == first
    assert not loads, "every answer was there"
    journal.write_text(journal.read_text().split("\n", 1)[1])
    assert invoke(main, *command, "inject").exit_code == 0
    assert len(loads) == 1
    for _ in range(2):
        assert invoke(main, *command, "lrm").exit_code == 0
        assert loads[1:] == [triple_settings["lrm"]]
    record(tmp_path, settings | {"text": ["mini_totl"]})
    assert refused(invoke(main, *command, "lrm"), "unknown benchmark 'mini_totl'")


def test_exactly_one_model_is_asked(triple: Triple, tmp_path: Path) -> None:
    for model, folder in ((None, None), ("vlm", tmp_path), ("other", None)):
        with pytest.raises(UserError, match="either --recipe FOLDER or --model"):
            find_model(triple, model, folder, SETTINGS)


@pytest.mark.parametrize("link", ["openai", "openai/gsm8k", "openai/gsm8k/main"])
def test_a_linked_data_set_is_read_and_named_by_its_place(link: str, mirror: Path, tmp_path: Path) -> None:
    """A mirror often links folders that lie on another disk."""
    here = tmp_path / "mirror" / link
    here.parent.mkdir(parents=True)
    here.symlink_to((mirror / link).resolve(), target_is_directory=True)
    linked, whole = (
        check_data(make_tasks([find("gsm8k")], None, 0, folder)) for folder in (tmp_path / "mirror", mirror)
    )
    assert linked == whole and list(linked["files"]) == ["openai/gsm8k/main/test-00000-of-00001.parquet"]


def long_mirror(tmp_path: Path) -> Path:
    """gsm8k with one question of more words than the miniature has positions."""
    mirrors.gsm8k(tmp_path / "long")
    (path,) = (tmp_path / "long").rglob("main/test-*.parquet")
    frame = pd.read_parquet(path)
    frame.loc[2, "question"] = "red " * 600
    frame.to_parquet(path, index=False)
    return tmp_path / "long"


@pytest.mark.parametrize("model", ["lrm", "vlm"])
def test_a_prompt_longer_than_the_models_positions_says_so(
    model: str, triple: Triple, tmp_path: Path
) -> None:
    """No limit of the answer helps there; of a VLM lm-eval knows no positions, and would cut the prompt."""
    who, short = who_answers(triple, model), {"name": "gsm8k", "max_new_tokens": 4}
    with pytest.raises(
        UserError, match=r"question 2 of gsm8k has \d+ tokens, and the model only 512 positions"
    ):
        scored(who, short, long_mirror(tmp_path), tmp_path / "j.jsonl")
    with pytest.raises(
        UserError, match=r"a prompt of .* 510 new ones .* 512 positions: lower the benchmark's"
    ):
        scored(who, short | {"max_new_tokens": 510}, tmp_path / "long", tmp_path / "j.jsonl", 1)


def test_a_text_question_that_cannot_be_answered_is_counted(triple: Triple, tmp_path: Path) -> None:
    who = who_answers(triple)
    tasks = make_tasks([find({"name": "gsm8k", "max_new_tokens": 4})], None, 0, long_mirror(tmp_path))
    lenient, strict = (
        SETTINGS.model_copy(update={"failures": CountedFailures(count_as_unanswered=share)})
        for share in (0.2, 0.1)
    )
    for _ in range(2):  # the second time from the journal
        table = ask_questions(who, tasks, lenient, tmp_path / "j.jsonl").set_index("index")
        failed = table.loc["2"]
        assert failed["rule"] == "failed: too_long" and failed["correct"] == failed["correct_raw"] == 0
        assert (failed["raw"], failed["extracted"], failed["tokens"]) == ("", None, 0)
        assert not table["rule"].drop("2").str.startswith("failed").any() and len(table) == 6
    with pytest.raises(UserError, match=r"1 of 6 questions of gsm8k cannot be answered \(too long 1;"):
        ask_questions(who, tasks, strict, tmp_path / "j.jsonl")
