"""Sampled answers: the right distribution, a stream of their own each, and greedy ones as they ever were."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import chisquare
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from benchmarks.answering.decoding import decode
from benchmarks.answering.openai_server import OpenAIServer
from benchmarks.answering.predictions import Prediction, StoredPrediction
from benchmarks.answering.sampling import list_samples, make_request, make_seed
from benchmarks.answering.token_sampler import TokenSampler
from benchmarks.answering.transformers_engine import TransformersEngine
from benchmarks.prompting.families import find_family
from benchmarks.questions import reading
from benchmarks.questions.item import Item
from benchmarks.questions.writing import _format_line
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.study.sampling_settings import SamplingSettings
from benchmarks.study.slices.tune_slice import TuneSlice
from benchmarks.tuning.inputs import _digest_dev
from frism.distillation.collation import collate
from tests.benchmarks.answering.test_decoding import QUESTIONS, _inputs
from tests.support import tiny_vlms
from tests.support.chat_server import served
from tests.support.studies import study_of

SAMPLING = SamplingSettings(samples=3, temperature=1.3, top_p=0.9, seed=5)
DRAWN = EngineSettings(batch_size=4, max_new_tokens=6, sampling=SAMPLING)
ITEM = Item("mini_total", "test", "7", ({"type": "text", "value": "How many?"},), "three", (), Path("x"))


# --- the distribution -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        SamplingSettings(temperature=1, top_p=1),
        SamplingSettings(temperature=0.6, top_p=0.95),
        SamplingSettings(temperature=2.5, top_p=0.8, top_k=20),
    ],
)
def test_tokens_follow_the_softmax_of_transformers_warpers(settings: SamplingSettings) -> None:
    """Chi-square of 20,000 draws with seeds in a row, as a question's samples might have."""
    logits = torch.randn(1, 60, generator=torch.Generator().manual_seed(1)) * 2
    warpers = LogitsProcessorList([TemperatureLogitsWarper(settings.temperature)])
    warpers += [TopKLogitsWarper(settings.top_k)] if settings.top_k else []
    warpers += [TopPLogitsWarper(settings.top_p)] if settings.top_p < 1 else []
    chances = warpers(None, logits).softmax(-1)[0].double().numpy()
    n = 20_000
    sampler = TokenSampler(settings, range(n), 3)
    for step in range(3):
        tokens = sampler.choose(logits.expand(n, -1), range(n), step)
        counts = np.bincount(tokens, minlength=60)
        assert not counts[chances == 0].any()
        kept = chances > 0
        assert chisquare(counts[kept], n * chances[kept] / chances[kept].sum()).pvalue > 1e-4


def test_two_tokens_of_a_model_have_the_chances_that_its_logits_give() -> None:
    """Of one prompt, read once for all rows: pairs of tokens against the product of softmaxes."""
    model, processor = tiny_vlms.make("qwen2_5_vl")
    settings, n = SamplingSettings(temperature=1.5, top_p=1, top_k=3), 3000
    row = _inputs(processor, 0)
    found = decode(
        model, collate([row], processor.tokenizer.pad_token_id), max_new_tokens=[2] * n, ends=frozenset(),
        prompts=[0] * n, sampler=TokenSampler(settings, range(n), 2),
    )  # fmt: skip
    first = _chances(model, row, [], settings)
    pairs = {(a, b): p * q for a, p in first.items() for b, q in _chances(model, row, [a], settings).items()}
    counts = dict.fromkeys(pairs, 0)
    for a, b in found:
        counts[a, b] += 1  # no other pair can be drawn
    assert len(counts) == 9 and sum(counts.values()) == n
    expected = np.array(list(pairs.values()))
    assert expected.sum() == pytest.approx(1)
    assert chisquare(list(counts.values()), n * expected / expected.sum()).pvalue > 1e-4


@torch.inference_mode()
def _chances(model, row: dict, before: list[int], settings: SamplingSettings) -> dict[int, float]:
    """Chances of the next token by `generate` itself, whose scores are after its warpers."""
    force = {"max_new_tokens": len(before) + 1, "do_sample": True, "temperature": settings.temperature,
             "top_k": settings.top_k, "top_p": settings.top_p, "output_scores": True}  # fmt: skip
    start = row["input_ids"].shape[1]

    def allow(_: int, ids: torch.Tensor) -> list[int]:
        place = len(ids) - start
        return (
            [before[place]] if place < len(before) else list(range(model.config.get_text_config().vocab_size))
        )

    out = model.generate(
        **row, **force, return_dict_in_generate=True, prefix_allowed_tokens_fn=allow, eos_token_id=None
    )
    chances = out.scores[-1][0].softmax(-1)
    return {int(token): float(chances[token]) for token in chances.nonzero()[:, 0]}


@pytest.mark.parametrize("kind", tiny_vlms.FAMILIES)
def test_a_shared_prompt_gives_the_tokens_of_repeated_ones(kind: str) -> None:
    """Every family, rows that end and leave the batch at different lengths."""
    model, processor = tiny_vlms.make(kind)
    rows, pad = (
        [_inputs(processor, place) for place in range(len(QUESTIONS))],
        processor.tokenizer.pad_token_id,
    )
    prompts = [0, 0, 0, 1, 1, 2, 2, 2]
    limits, seeds = [10, 10, 4, 10, 7, 10, 3, 10], range(8)
    ends = frozenset(range(0, model.config.get_text_config().vocab_size, 9))
    shared = decode(
        model, collate(rows, pad), max_new_tokens=limits, ends=ends, prompts=prompts,
        sampler=TokenSampler(SAMPLING, seeds, 10),
    )  # fmt: skip
    alone = [
        decode(
            model, collate([rows[prompt]], pad), max_new_tokens=[limit], ends=ends,
            sampler=TokenSampler(SAMPLING, [seed], 10),
        )[0]
        for prompt, limit, seed in zip(prompts, limits, seeds, strict=True)
    ]  # fmt: skip
    assert shared == alone
    assert len({tuple(row) for row in shared}) > 4 and len({len(row) for row in shared}) > 2


# --- streams of their own ---------------------------------------------------------------------------


def answered(engine: TransformersEngine, asked: list[Item], **changes) -> dict[tuple, str]:
    engine.settings = DRAWN.model_copy(update=changes)
    drawn = list_samples(asked, engine.settings.samples)
    return {
        (p.item.index, p.item.sample): (p.raw, p.tokens, p.truncated)
        for batch in engine.generate(drawn)
        for p in batch
    }


def test_answers_depend_on_question_and_sample_alone(engine: TransformersEngine, items_folder: Path) -> None:
    asked = reading.load_items(items_folder, "test", "mini_total")["mini_total"]
    first = answered(engine, asked)
    assert len(first) == 3 * len(asked)
    assert len({text for text, *_ in first.values()}) > len(asked), "samples differ"
    assert answered(engine, asked) == first
    assert answered(engine, asked[::-1], batch_size=64) == first
    assert answered(engine, asked, batch_size=1) == first
    assert answered(engine, asked, token_budget=300) == first
    some = answered(engine, asked[4:7])
    assert some == {key: first[key] for key in some}
    more = answered(engine, asked, sampling=SAMPLING.model_copy(update={"samples": 5}))
    assert {key: more[key] for key in first} == first
    other = answered(engine, asked, sampling=SAMPLING.model_copy(update={"seed": 6}))
    assert sum(other[key] == first[key] for key in first) < len(first) / 2


def test_a_batch_too_large_for_the_memory_draws_the_same(
    engine: TransformersEngine, items_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = reading.load_items(items_folder, "test", "mini_total")["mini_total"]
    first = answered(engine, asked)
    whole = engine._generate_tokens

    def run_out(items):
        if len(items) > 2:
            raise torch.OutOfMemoryError
        return whole(items)

    monkeypatch.setattr(engine, "_generate_tokens", run_out)
    assert answered(engine, asked) == first
    assert engine.costs[-1].parts > 1


def test_keys_follow_how_tokens_are_drawn(engine: TransformersEngine, items_folder: Path) -> None:
    asked = reading.load_items(items_folder, "test", "mini_number")["mini_number"]

    def keys(settings: EngineSettings) -> set[str]:
        engine.settings = settings
        drawn = list_samples(asked, settings.samples)
        return {key for batch in engine.batches(drawn, {}) for key in batch.keys}

    seen = [keys(DRAWN.model_copy(update={"sampling": None})), keys(DRAWN)]
    for change in ({"temperature": 0.5}, {"top_p": 0.5}, {"top_k": 7}, {"seed": 1}):
        seen.append(keys(DRAWN.model_copy(update={"sampling": SAMPLING.model_copy(update=change)})))
    assert [len(one) for one in seen] == [10, 30, 30, 30, 30, 30]
    assert len(set.union(*seen)) == 160


def test_seeds_are_a_questions_own_and_fit_a_servers_integer() -> None:
    items = [Item("b", "test", str(i), (), "", (), Path(), sample=s) for i, s in product(range(50), range(4))]
    seeds = [make_seed(item, DRAWN) for item in items]
    assert len(set(seeds)) == 200 and all(0 <= seed < 2**31 for seed in seeds)
    prompted = Item("b", "test", "3", ({"type": "text", "value": "x"},), "", (), Path(), sample=2)
    assert make_seed(prompted, DRAWN) == seeds[14], "the same numbers for every variant, however prompted"
    assert make_request(items[0], DRAWN) == {"temperature": 1.3, "top_p": 0.9, "seed": seeds[0]}


def test_a_server_is_asked_for_every_sample_with_its_seed(items_folder: Path) -> None:
    asked = reading.load_items(items_folder, "test", "mini_total")["mini_total"][:2]
    with served(lambda body: f"said {body['seed']}") as (address, requests):
        settings = EngineSettings(
            name="openai", address=address, model="served", max_new_tokens=6,
            sampling=SAMPLING.model_copy(update={"top_k": 9}),
        )  # fmt: skip
        engine = OpenAIServer(settings, find_family("qwen2_5_vl"))
        drawn = list_samples(asked, settings.samples)
        found = [p for batch in engine.answers(engine.batches(drawn, {})) for p in batch]
    assert [p.raw for p in found] == [f"said {make_seed(item, settings)}" for item in drawn]
    assert [(p.item.index, p.item.sample) for p in found] == [(i.index, i.sample) for i in drawn]
    assert {(r["temperature"], r["top_p"], r["top_k"]) for r in requests} == {(1.3, 0.9, 9)}


# --- greedy as it was -------------------------------------------------------------------------------


def test_without_sampling_nothing_stored_has_changed(engine: TransformersEngine) -> None:
    """Literals written by the version before there were samples."""
    settings = EngineSettings(max_new_tokens=6)
    assert ITEM.content == "4f3f80b74809e61b"
    assert StoredPrediction.of(Prediction(ITEM, "ab" * 8, "three", 1, False, 0.25)).text() == (
        '{"key": "abababababababab", "benchmark": "mini_total", "index": "7", "item": "4f3f80b74809e61b",'
        ' "raw": "three", "tokens": 1, "truncated": false, "seconds": 0.25, "sum": "101146b04dbb0073"}\n'
    )
    assert '"sample' not in _format_line(ITEM) and "sampling" not in settings.model_dump_json()
    assert _digest_dev(settings, {"mini_total": [ITEM]}) == "9fbbd45bccb476ad"
    assert engine.fingerprint["decoding"].keys() == {"greedy", "max_new_tokens", "ends"}
    assert make_seed(ITEM, settings) is None and make_request(ITEM, settings) == {"temperature": 0}
    assert list_samples([ITEM], None) == [ITEM]


def test_a_sample_is_stored_with_its_number_and_its_own_content() -> None:
    samples = list_samples([ITEM], 3)
    assert len({item.content for item in [ITEM, *samples]}) == 4
    assert all(sample.question is ITEM for sample in samples)
    assert [StoredPrediction.of(Prediction(s, "k", "", 0, False, 0.0)).sample for s in samples] == [0, 1, 2]
    assert '"sample": 0' in StoredPrediction.of(Prediction(samples[0], "k", "", 0, False, 0.0)).text()


# --- the config -------------------------------------------------------------------------------------


def sampled(**changes) -> dict:
    return {"engine": {"name": "transformers", "max_new_tokens": 6, "sampling": changes}}


def test_draws_have_the_studys_seed_and_dev_stays_greedy() -> None:
    study = study_of({"seed": 9, **sampled(samples=2)})
    assert study.engine.sampling == SamplingSettings(samples=2, seed=9)
    assert study_of({"seed": 9, **sampled(seed=3)}).engine.sampling.seed == 3
    greedy = study_of({"seed": 9, "engine": {"name": "transformers", "max_new_tokens": 6}})
    assert TuneSlice.of(study) == TuneSlice.of(greedy), "what is tuned does not depend on it"
    assert TuneSlice.of(study_of(sampled(on_dev=True))).engine.samples == 4


@pytest.mark.parametrize("wrong", [{"temperature": 0}, {"top_p": 0}, {"samples": 0}, {"temprature": 1}])
def test_settings_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        EngineSettings(sampling=wrong)


def test_vlmevalkits_loop_is_greedy_alone() -> None:
    with pytest.raises(
        ValidationError, match="sampling is a setting of transformers and vllm and openai, not"
    ):
        EngineSettings(name="vlmeval", sampling={})
