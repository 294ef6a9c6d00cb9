"""VLMEvalKit's prompt rules per family: its own classes write the prompts, and the table says the rest."""

import os
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from qwen_vl_utils.vision_process import fetch_image

from benchmarks.answering.rendering import compute_size, resize_pictures
from benchmarks.prompting import families
from benchmarks.prompting.families import Family, find_family
from benchmarks.prompting.vlmevalkit_models import import_package, write_message
from benchmarks.registry import lookup
from benchmarks.study.engine_settings import THINKING
from benchmarks.vlmevalkit import loading
from frism.errors import UserError
from tests.support import tsvs


def messages(kind: str, name: str, folder: Path, **overrides: object) -> list[families.Message]:
    definition = lookup.find(tsvs.pinned(tsvs.make(name, folder, 5)))
    dataset = loading.build_dataset(definition, folder)
    own = find_family(kind, **overrides)
    return [write_message(own, dataset, dataset.data.iloc[i]) for i in range(len(dataset.data))]


def texts(message: families.Message) -> str:
    return "".join("[P]" if p["type"] == "image" else f"{p.get('role', '')}{p['value']}" for p in message)


def test_the_miniatures_prompts_are_the_datasets_own(tmp_path: Path) -> None:
    own = find_family("qwen2_5_vl")
    assert not own.custom_prompts
    assert own.min_pixels is own.max_pixels is own.system_prompt is None
    definition = lookup.find(tsvs.pinned(tsvs.make("MMStar", tmp_path, 5)))
    dataset = loading.build_dataset(definition, tmp_path)
    for i in range(5):
        line = dataset.data.iloc[i]
        assert write_message(own, dataset, line) == dataset.build_prompt(line)


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("qwen2_vl", "TextVQA_VAL", " the question with short words or phrases if possible."),
        ("qwen2_vl", "POPE", " Please answer yes or no."),
        ("llava_next", "MMStar", "\nAnswer with the option's letter from the given choices directly."),
        ("internvl", "ChartQA_TEST", "\nAnswer the question using a single word or phrase."),
        ("smolvlm", "MMStar", "Answer with the letter.assistant Answer:"),
        ("smolvlm", "OCRBench", "\nGive a very brief answer."),
        ("idefics3", "HallusionBench", "\nAnswer yes or no."),
        ("idefics2", "MMStar", "Answer with the letter.assistant Answer:"),
        ("mllama", "AI2D_TEST", "<cot_start>Let's think step by step."),
    ],
)  # fmt: skip
def test_model_classes_write_their_own_prompts(kind: str, name: str, expected: str, tmp_path: Path) -> None:
    for message in messages(kind, name, tmp_path):
        assert texts(message).endswith(expected) or (kind == "mllama" and expected in texts(message))


def test_without_custom_prompts_the_dataset_writes_them(tmp_path: Path) -> None:
    plain = messages("qwen2_vl", "MMStar", tmp_path / "a", custom_prompts=False)
    custom = messages("qwen2_vl", "MMStar", tmp_path / "b")
    assert all(texts(p) != texts(c) for p, c in zip(plain, custom, strict=True))
    assert [texts(m) for m in plain] == [texts(m) for m in messages("qwen2_5_vl", "MMStar", tmp_path / "c")]


def test_several_pictures_are_numbered_for_internvl(tmp_path: Path) -> None:
    for message in messages("internvl", "MMMU_DEV_VAL", tmp_path):
        number = sum(part["type"] == "image" for part in message)
        if number > 1:
            assert texts(message).startswith("".join(f"Image-{i + 1}: [P]" for i in range(number)))
        else:
            assert texts(message).startswith("[P]")


def test_a_family_survives_json() -> None:
    import json

    for entry in families.FAMILIES:
        changed = find_family(entry.model_types[0], system_prompt="Think.")
        restored = families.restore_family(json.loads(json.dumps(changed.fingerprint())))
        assert restored == changed
        assert hash(restored) == hash(changed)


def test_how_models_think_is_in_a_fingerprint_only_where_it_is_said() -> None:
    plain = find_family("qwen2_5_vl")
    assert "thinking" not in plain.fingerprint(), "items made before are still the same"
    kimi = replace(plain, thinking="kimi")
    assert families.restore_family(kimi.fingerprint()) == kimi
    assert all(entry.thinking in THINKING for entry in families.FAMILIES)


def test_bad_overrides_are_one_sentence_each() -> None:
    for kind, overrides, complaint in [
        ("qwen2_5_v", {}, "Did you mean 'qwen2_5_vl'"),
        ("qwen2_5_vl", {"min_pixel": 3}, "unknown key 'min_pixel'"),
        ("smolvlm", {"min_pixels": 3}, "smolvlm has no pixel limits"),
        ("qwen2_5_vl", {"min_pixels": 30, "max_pixels": 3}, "ascending"),
    ]:
        with pytest.raises(UserError, match=complaint):
            find_family(kind, **overrides)
    with pytest.raises(UserError, match="another version"):
        families.restore_family({"name": "qwen2_vl"})


@given(
    st.integers(1, 700), st.integers(1, 700), st.sampled_from([None, 784, 100_000]), st.sampled_from([28, 32])
)
def test_picture_sizes_are_those_of_qwen_vl_utils(
    width: int, height: int, least: int | None, factor: int
) -> None:
    own = Family("any", (), "", pixel_factor=factor, min_pixels=least, max_pixels=300_000)
    picture = Image.new("RGB", (width, height))
    if max(width, height) > 200 * min(width, height):
        with pytest.raises(UserError, match="too narrow"):
            compute_size(own, picture.size, "MMStar")
        return
    limits = {"max_pixels": 300_000} | ({} if least is None else {"min_pixels": least})
    expected = fetch_image({"image": picture, **limits}, image_patch_size=factor // 2)
    assert compute_size(own, picture.size, "MMStar") == expected.size


def test_pictures_are_resized_as_qwen_vl_utils_does_and_ocrbench_has_its_own_limit() -> None:
    picture = Image.effect_noise((123, 77), 80).convert("RGB")
    own = find_family("qwen2_5_vl")
    for name, limit in (("MMStar", {}), ("OCRBench", {"min_pixels": 100 * 28 * 28})):
        expected = fetch_image({"image": picture, **limit}, image_patch_size=14)
        assert resize_pictures(own, [picture], name)[0].tobytes() == expected.tobytes()


def test_importing_model_classes_leaves_the_process_as_it_was() -> None:
    before, state = dict(os.environ), torch.get_rng_state()
    import_package("vlm")
    assert torch.is_grad_enabled()
    assert ssl._create_default_https_context is not ssl._create_unverified_context
    assert dict(os.environ) == before
    assert torch.equal(torch.get_rng_state(), state)
