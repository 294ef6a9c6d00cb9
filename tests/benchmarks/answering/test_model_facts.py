"""What is said of a model before it is loaded is what the loaded one says, for every family."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.answering.model_facts import ModelFacts
from benchmarks.study.engine_settings import EngineSettings
from frism.merging import on_load
from tests.support import tiny_vlms
from tests.support.loads import count_loads


@pytest.mark.parametrize("family", tiny_vlms.FAMILIES)
@pytest.mark.parametrize("stored", [True, False])
def test_a_model_is_foreseen_as_it_loads(
    family: str, stored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = tiny_vlms.make(family)
    model.generation_config.eos_token_id = [3, 5]
    model.save_pretrained(tmp_path)
    if not stored:  # ends are then what the config says
        (tmp_path / "generation_config.json").unlink()
    triple: Any = SimpleNamespace(vlm_folder=tmp_path, text_receiver=False)
    settings = EngineSettings(dtype="float32" if stored else "bfloat16")
    loads = count_loads(monkeypatch)
    foreseen = ModelFacts.foresee(triple, None, settings)
    assert not loads
    loaded = on_load.load(triple, None, dtype=settings.torch_dtype, device=settings.torch_device)
    assert loads
    assert foreseen == ModelFacts.of(loaded)
    assert foreseen.dtype == f"torch.{settings.dtype}"
    if stored:
        assert foreseen.ends == {3, 5}
