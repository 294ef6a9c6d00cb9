"""The training recipe runs, learns, and repeats bit for bit; a few steps of each stage."""

import random
from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2ForCausalLM

from benchmarks.miniature.base import train_base
from benchmarks.miniature.documents import IGNORED, Batcher, Document, Writer
from benchmarks.miniature.lrm import train_lrm
from benchmarks.miniature.models import new_vlm
from benchmarks.miniature.optimizers import orthogonalize
from benchmarks.miniature.sft_text import train_sft_text, write_answers
from benchmarks.miniature.tokenizer import build_processor, build_tokenizer
from benchmarks.miniature.vlm import train_vlm
from benchmarks.miniature.vocabulary import VisualVocabulary
from benchmarks.miniature.world import Tile


@pytest.fixture(scope="module")
def processor():
    return build_processor(build_tokenizer())


def equal(a, b) -> bool:
    return all(torch.equal(x, b.state_dict()[k]) for k, x in a.state_dict().items())


@pytest.mark.slow
def test_all_stages_repeat_bit_for_bit(processor, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    bases = [
        train_base(processor, tmp_path / f"b{i}.csv", copy_steps=3, steps=3, request_steps=2) for i in (0, 1)
    ]
    assert equal(*bases)
    lrms = [train_lrm(bases[0], processor, tmp_path / f"r{i}.csv", steps=2) for i in (0, 1)]
    assert equal(*lrms)
    assert not equal(lrms[0], bases[0])
    steps = {"vocabulary_steps": 2, "tower_steps": 2, "align_steps": 2, "tune_steps": 2}
    vlms = [train_vlm(bases[0], processor, tmp_path / f"v{i}.csv", **steps) for i in (0, 1)]
    assert equal(*vlms)
    curve = pd.read_csv(tmp_path / "v0.csv")
    assert list(curve["stage"].unique()) == ["vlm: vocabulary", "vlm: tower", "vlm: align", "vlm: tune"]


WEIGHTS = Path("benchmarks/miniature/weights")


def test_documents_hold_what_the_donor_says(processor) -> None:
    lrm = Qwen2ForCausalLM.from_pretrained(WEIGHTS / "lrm")
    writer = Writer(processor)
    documents = list(write_answers(lrm, writer, random.Random(0), 12, group=8))
    assert len(documents) == 12
    for document in documents:
        said = [i for i, learned in zip(document.ids, document.learned, strict=True) if learned]
        start = document.learned.index(True)
        assert not any(document.learned[:start]) and said[-1] == writer.end
        assert document.ids[start + len(said) :] == writer.close and document.image is None
        prompt = torch.tensor([document.ids[:start]])
        expected = lrm.generate(prompt, max_new_tokens=len(said), do_sample=False, eos_token_id=writer.end)
        assert expected[0, start:].tolist() == said
    labels = Batcher(processor, writer)(documents)["labels"]
    assert (labels != IGNORED).sum() == sum(sum(document.learned) for document in documents)


def test_fine_tuning_on_text_moves_the_language_model_alone(processor, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    made = []
    for number in range(2):
        vlm = Qwen2_5_VLForConditionalGeneration.from_pretrained(WEIGHTS / "vlm", dtype=torch.float32)
        before = {name: tensor.clone() for name, tensor in vlm.state_dict().items()}
        lrm = Qwen2ForCausalLM.from_pretrained(WEIGHTS / "lrm", dtype=torch.float32)
        made.append(train_sft_text(vlm, lrm, processor, tmp_path / f"{number}.csv", steps=2, batch=4))
    assert equal(*made)
    moved = {name for name, tensor in made[0].state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved and all("language_model.layers" in n or "language_model.norm" in n for n in moved)


def test_the_first_stage_leaves_the_language_model_alone(processor, tmp_path: Path) -> None:
    base = train_base(processor, tmp_path / "b.csv", copy_steps=1, steps=1, request_steps=0)
    vlm = train_vlm(
        base, processor, tmp_path / "v.csv", vocabulary_steps=1, tower_steps=1, align_steps=2, tune_steps=0
    )
    tower = vlm.model.language_model.state_dict()
    assert all(torch.equal(x, tower[name]) for name, x in base.model.state_dict().items())


@pytest.mark.slow
def test_copying_is_learned_quickly(processor, tmp_path: Path) -> None:
    train_base(processor, tmp_path / "b.csv", copy_steps=60, steps=0, request_steps=0)
    losses = pd.read_csv(tmp_path / "b.csv")["loss"]
    assert losses.iloc[-1] < 0.5 * losses.iloc[0]


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (16, 16)])
def test_orthogonalize_pushes_singular_values_towards_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(matrix))
    assert values.max() < 1.3
    assert values.median() > 0.6


def test_the_visual_vocabulary_starts_as_words_and_answers_for_the_scenes_shown(
    processor, tmp_path: Path
) -> None:
    base = train_base(processor, tmp_path / "b.csv", copy_steps=1, steps=0, request_steps=0)
    vlm = new_vlm(base, processor, seed=0)
    vocabulary = VisualVocabulary(vlm, processor)
    scene = (Tile(4, "red", 7),)
    tokens = vocabulary.tokens([scene]).view(6, 6, -1)
    words = vlm.get_input_embeddings().weight[[processor.tokenizer(f" {w}").input_ids[0] for w in
                                               ("center", "red", "seven", ";")]]  # fmt: skip
    assert torch.equal(tokens[2:4, 2:4].reshape(4, -1), words)
    assert tokens[0, 0].abs().sum() == 0  # an empty cell says nothing yet
    shown = Document(scene=scene)
    vocabulary.show([shown, Document()])
    assert torch.equal(vocabulary(torch.empty(0)).pooler_output, vocabulary.tokens([scene]))
