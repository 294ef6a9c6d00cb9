"""Vocabularies read from files against the tokenizers themselves."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from frism.checkpoints.checkpoint import Checkpoint
from frism.errors import UserError
from frism.triples.vocabularies import Vocabulary, compare_vocabularies, read_vocabulary, same_sentencepiece
from tests.support import architectures

WORDS = st.dictionaries(st.integers(0, 30), st.text(max_size=3), max_size=20)


@given(one=WORDS, other=WORDS)
def test_comparison_is_symmetric_and_counts_what_differs(one: dict, other: dict) -> None:
    forth = compare_vocabularies(Vocabulary(one, {}), Vocabulary(other, {}))
    back = compare_vocabularies(Vocabulary(other, {}), Vocabulary(one, {}))
    assert (forth.shared, forth.different) == (back.shared, back.different)
    assert forth.shared == len(one.keys() & other.keys())
    assert forth.different == sum(one[n] != other[n] for n in one.keys() & other.keys())
    assert compare_vocabularies(Vocabulary(one, {}), Vocabulary(one, {})).different == 0


def test_added_tokens_are_apart() -> None:
    one = Vocabulary({0: "a", 1: "b", 2: "<x>"}, {2: "<x>"})
    other = Vocabulary({0: "a", 1: "b", 2: "<y>", 3: "<z>"}, {2: "<y>", 3: "<z>"})
    result = compare_vocabularies(one, other)
    assert (result.shared, result.different, result.same_family) == (2, 0, True)
    assert result.added == [(2, "<x>", "<y>"), (3, "", "<z>")]


@pytest.mark.parametrize("image", [False, True])
def test_files_hold_what_the_tokenizer_says(checkpoint: Path, image: bool) -> None:
    tokenizer = architectures.tokenizer(image)
    tokenizer.save_pretrained(checkpoint)
    vocabulary = read_vocabulary(Checkpoint(checkpoint))
    assert vocabulary.tokens == {number: word for word, number in tokenizer.get_vocab().items()}
    assert set(vocabulary.added.values()) >= ({"<image>"} if image else set())


def test_unigram_and_older_files(checkpoint: Path) -> None:
    pieces = [("<unk>", 0.0), ("a", -1.0), ("b", -2.0)]
    Tokenizer(models.Unigram(pieces, unk_id=0)).save(str(checkpoint / "tokenizer.json"))
    assert read_vocabulary(Checkpoint(checkpoint)).tokens == {0: "<unk>", 1: "a", 2: "b"}
    (checkpoint / "tokenizer.json").unlink()
    assert read_vocabulary(Checkpoint(checkpoint)) is None
    (checkpoint / "vocab.json").write_text(json.dumps({"a": 0, "b": 1}))
    (checkpoint / "added_tokens.json").write_text(json.dumps({"<x>": 2}))
    older = read_vocabulary(Checkpoint(checkpoint))
    assert (older.tokens, older.added) == ({0: "a", 1: "b", 2: "<x>"}, {2: "<x>"})


@pytest.mark.parametrize(
    "content",
    [
        {"added_tokens": [{"id": 3, "ontent": "<x>"}]},
        {"added_tokens": [{"id": "three", "content": "<x>"}]},
        {"added_tokens": [7]},
        {"added_tokens": 7},
        {"model": ["a", "b"]},
        {"model": {"vocab": 7}},
        {"model": {"vocab": {"a": None}}},
        {"model": {"vocab": {"a": 1e999}}},
        {"model": {"vocab": [[]]}},
    ],
)
def test_a_file_of_another_kind_is_named(content: dict[str, object], checkpoint: Path) -> None:
    path = checkpoint / "tokenizer.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="does not list tokens by number") as raised:
        read_vocabulary(Checkpoint(checkpoint))
    assert str(path) in str(raised.value)


def test_sentencepiece_files_are_compared_by_content(checkpoint: Path) -> None:
    known = Checkpoint(checkpoint)
    assert same_sentencepiece(known, known) is None
    (checkpoint / "tokenizer.model").write_bytes(b"pieces")
    assert same_sentencepiece(known, known) is True


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    architectures.text_model("qwen2").save_pretrained(tmp_path)
    return tmp_path
