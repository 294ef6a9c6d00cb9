"""Compare tokenizers without loading them: the same strings at the same ids, added tokens apart."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from frism.checkpoints.checkpoint import Checkpoint
from frism.errors import UserError
from frism.files import read_json, sha256_file


@dataclass(frozen=True)
class Vocabulary:
    """Hold token strings by id; `added`: those outside the model's own vocabulary, special tokens mostly."""

    tokens: dict[int, str]
    added: dict[int, str]


@dataclass(frozen=True)
class VocabularyComparison:
    """Describe how two vocabularies differ.

    Attributes:
        shared: ordinary ids that both have.
        different: how many of them stand for different strings.
        example: (id, one string, other string) of the first such id.
        added: (id, one's string or "", other's string or "") where added tokens differ, in order of id.
    """

    shared: int
    different: int
    example: tuple[int, str, str] | None
    added: list[tuple[int, str, str]]

    @property
    def same_family(self) -> bool:
        """Whether at most one ordinary id in a hundred stands for another string (renamed unused ones)."""
        return self.shared > 0 and self.different <= self.shared // 100


def read_vocabulary(checkpoint: Checkpoint) -> Vocabulary | None:
    """Return a checkpoint's vocabulary from tokenizer.json or vocab.json; None when there is neither.

    Raises UserError for a file that holds something else.
    """
    for name in ("tokenizer.json", "vocab.json"):
        path = checkpoint.folder / name
        if path.is_file():
            return _read(path, path.stat().st_mtime_ns, path.stat().st_size)
    return None


def compare_vocabularies(one: Vocabulary, other: Vocabulary) -> VocabularyComparison:
    """Compare two vocabularies over the ids that both have."""
    special = one.added.keys() | other.added.keys()
    shared = (one.tokens.keys() & other.tokens.keys()) - special
    different = sorted(number for number in shared if one.tokens[number] != other.tokens[number])
    first = (different[0], one.tokens[different[0]], other.tokens[different[0]]) if different else None
    pairs = ((n, one.tokens.get(n, ""), other.tokens.get(n, "")) for n in sorted(special))
    return VocabularyComparison(
        len(shared), len(different), first, [pair for pair in pairs if pair[1] != pair[2]]
    )


def same_sentencepiece(one: Checkpoint, other: Checkpoint) -> bool | None:
    """Whether two tokenizer.model files are equal; None when one of them is absent."""
    files = [checkpoint.folder / "tokenizer.model" for checkpoint in (one, other)]
    if not all(path.is_file() for path in files):
        return None
    return sha256_file(files[0]) == sha256_file(files[1])


@lru_cache(maxsize=8)
def _read(path: Path, modified: int, size: int) -> Vocabulary:
    try:
        return _parse(path)
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path} or the file of added tokens beside it does not list tokens by number"
            f" ({type(error).__name__}: {error}): copy the checkpoint's tokenizer again."
        ) from error


def _parse(path: Path) -> Vocabulary:
    content = read_json(path)
    if path.name == "vocab.json":
        extra = path.with_name("added_tokens.json")
        tokens = {int(number): token for token, number in content.items()}
        added = {int(n): token for token, n in read_json(extra).items()} if extra.is_file() else {}
        return Vocabulary(tokens | added, added)
    vocabulary: dict[str, int] | list[list[Any]] = (content.get("model") or {}).get("vocab") or {}
    if isinstance(vocabulary, list):  # Unigram: [token, score] by position
        tokens = {number: str(entry[0]) for number, entry in enumerate(vocabulary)}
    else:
        tokens = {int(number): token for token, number in vocabulary.items()}
    added = {int(entry["id"]): str(entry["content"]) for entry in content.get("added_tokens") or []}
    return Vocabulary(tokens | added, added)


def forget_vocabularies() -> None:
    """Free the vocabularies that `read_vocabulary` keeps for its next caller."""
    _read.cache_clear()


def quote_token(token: str) -> str:
    """Return a token for a message: quoted, control characters escaped, cut at 24 characters."""
    return json.dumps(token if len(token) <= 24 else token[:23] + "…", ensure_ascii=False)
