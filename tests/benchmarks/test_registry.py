"""Definitions: all valid, unknown names corrected, faults named."""

from pathlib import Path

import pytest

from benchmarks import registry, vlmevalkit
from benchmarks.miniature.questions import PERCEPTION, REASONING, SHORT
from frism.errors import UserError


def test_every_definition_is_valid_and_complete() -> None:
    found = {name: registry.find(name) for name in registry.available()}
    assert len({d.dataset for d in found.values()}) == len(found), "one TSV each"
    families = {f"mini_{f}" for f in [*PERCEPTION, *SHORT, *REASONING]}
    assert set(found) >= families | {f"mini_{f}_unasked" for f in REASONING}
    for name, definition in found.items():
        assert vlmevalkit.dataset_class(definition.dataset_class)
        axis = {**dict.fromkeys(PERCEPTION, "perception"), **dict.fromkeys(REASONING, "reasoning")}
        assert definition.axis == axis.get(name.removeprefix("mini_"), "other")


def test_unknown_name_is_corrected() -> None:
    with pytest.raises(UserError, match=r"unknown benchmark 'mini_totl'\. Did you mean 'mini_total'\?"):
        registry.find("mini_totl")
    with pytest.raises(UserError, match="There are: mini_add"):
        registry.find_all("mini_total,xyzzy")
    with pytest.raises(UserError, match="no benchmark"):
        registry.find_all(" , ")


def test_names_keep_their_order_and_come_once() -> None:
    assert [d.name for d in registry.find_all("mini_total, mini_add,mini_total")] == [
        "mini_total",
        "mini_add",
    ]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("axis: reasoning", "axis: resoning", "axis"),
        ("metric:", "metrics:", "metric"),
        ("judge: exact_matching", "judge: gpt-4o", "judge"),
        ("title: Sum of three", "[", "YAML"),
    ],
)
def test_a_faulty_file_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    text = (registry.FOLDER / "mini_total.yaml").read_text()
    assert old in text
    (tmp_path / "mini_total.yaml").write_text(text.replace(old, new))
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    with pytest.raises(UserError, match=rf"mini_total\.yaml.*{complaint}"):
        registry.find("mini_total")
