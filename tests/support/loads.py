"""Count how often a model is loaded, at the loader of transformers that every way of loading ends in."""

from typing import Any

import pytest
from transformers import PreTrainedModel


def count_loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders of the models that are loaded from now on; grows with each."""
    loads: list[str] = []
    real: Any = PreTrainedModel.from_pretrained.__func__  # type: ignore[attr-defined]

    def counted(kind: Any, folder: Any, *more: Any, **options: Any) -> Any:
        loads.append(str(folder))
        return real(kind, folder, *more, **options)

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(counted))
    return loads
