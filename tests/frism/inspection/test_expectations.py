"""The page "what to expect": each sentence where its cause is, and not where it is not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from frism.inspection.report import inspect
from frism.triples.triple import ROLES, Triple
from tests.support import architectures


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    architectures.make("qwen2_5_vl", tmp_path)
    return {role: tmp_path / role for role in ROLES}


def page(folders: dict[str, Path]) -> str:
    return "\n".join(inspect(Triple.open(**folders)).expectations)


def scale(folders: dict[str, Path], change: Callable) -> None:
    """Replace R by B + change(R - B), tensor by tensor."""
    base, path = load_file(folders["base"] / "model.safetensors"), folders["lrm"] / "model.safetensors"
    lrm = load_file(path)
    save_file({n: base[n] + change(lrm[n] - base[n]) for n in lrm}, path, {"format": "pt"})


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_plain_pair(folders: dict[str, Path]) -> None:
    said = page(folders)
    assert "R moved 1 times as far" in said
    assert "RoPE is alike in all three." in said
    assert "R has no chat template" in said
    assert "nearly orthogonal" in said or "overlap most in layer" in said
    assert "Sparsity Curse" not in said and "perception to fall early" not in said


def test_a_far_and_a_near_donor(folders: dict[str, Path]) -> None:
    scale(folders, lambda tau: 10 * tau)
    assert "R moved 10 times as far" in page(folders) and "perception to fall early" in page(folders)
    scale(folders, lambda tau: tau / 100)
    assert "strengths near 1 and above" in page(folders)


def test_a_sparse_donor_of_low_rank(folders: dict[str, Path]) -> None:
    def keep_one_row(tau):
        kept = tau.clone()
        kept[1:] = 0
        return kept

    scale(folders, keep_one_row)
    assert "Sparsity Curse" in page(folders)
    assert "R differs from B in" in page(folders)


def test_rope_template_and_special_tokens(folders: dict[str, Path]) -> None:
    edit(folders["lrm"] / "config.json", rope_parameters={"rope_type": "default", "rope_theta": 1e6})
    tokenizer = architectures.tokenizer()
    tokenizer.chat_template = "{{ messages }}<think>\n"
    tokenizer.add_special_tokens({"additional_special_tokens": ["<deep>"]})
    tokenizer.save_pretrained(folders["lrm"])
    edit(folders["lrm"] / "tokenizer_config.json", eos_token="<s>")
    said = page(folders)
    assert "DRIFT" in said
    assert "opens a thought by itself" in said
    assert 'R\'s eos_token is "<s>", V\'s "</s>"' in said
    assert 'V has no token for 1 of R\'s added tokens ("<deep>")' in said
