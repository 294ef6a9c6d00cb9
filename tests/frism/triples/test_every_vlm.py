"""Every image-text-to-text class of transformers: inspect, merge, reload, a token, no other byte changed."""

from pathlib import Path

import pytest
import transformers

from tests.support import every_vlm
from tests.support.every_vlm_table import find_outcome, merge_and_reload

PAGE = Path(__file__).parents[3] / "docs" / "every_class.md"
# One of each kind: names with and without conversions, experts stacked and apart, hybrid layers, a head
# inside the language model, fused projections.
FAST = ("aya_vision", "deepseek_vl", "gemma4", "glm4v", "instructblip", "kimi_k25", "lfm2_vl", "llama4",
        "minimax_m3_vl", "mistral3", "ovis2", "qwen3_5_moe", "qwen3_vl_moe")  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRISM_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("model_type", FAST)
def test_classes_without_a_line_of_table(tmp_path: Path, model_type: str) -> None:
    merge_and_reload(model_type, tmp_path, "hub")


@pytest.mark.slow
@pytest.mark.parametrize("model_type", every_vlm.TYPES)
def test_the_page_says_what_happens_to_every_class(model_type: str) -> None:
    assert find_outcome(model_type) in PAGE.read_text(encoding="utf-8").splitlines()


def test_the_page_lists_every_class_and_enough_of_them_pass() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"transformers {transformers.__version__}" in page
    lines = {
        line.split("`")[1]: line
        for line in page.splitlines()
        if line.startswith("| `") and "model_type" not in line
    }
    assert lines.keys() == set(every_vlm.TYPES)
    assert sum("| table |" in line or "| derived |" in line for line in lines.values()) >= 70
    assert sum("| derived |" in line for line in lines.values()) >= 60
