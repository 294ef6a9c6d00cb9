"""Nobody's code runs: none of a checkpoint's folder, of a table's cells, or of a pickle."""

import ast
import json
import shutil
from pathlib import Path

import pytest

from benchmarks.answering.engine import open_engine
from benchmarks.study.engine_settings import EngineSettings
from benchmarks.vlmevalkit.literals import parse_literal
from benchmarks.vlmevalkit.loading import list_modules, load_dataset_class
from frism.merging import on_load
from frism.triples.triple import Triple
from tests.bad_input.conftest import attempt
from tests.bad_input.damage import HOSTILE

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    p
    for name in ("frism", "baselines", "benchmarks", "workflow")
    for p in sorted((ROOT / name).rglob("*.py"))
]
LOADERS = (
    "AutoConfig",
    "AutoProcessor",
    "AutoTokenizer",
    "AutoModelForCausalLM",
    "AutoModelForImageTextToText",
    "auto",
)
CODE = "import pathlib\npathlib.Path('hacked').touch()\n"


def list_calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def test_every_loader_is_told_to_run_no_code() -> None:
    """Where nothing is said transformers asks the terminal, and a job without one fails in its own words."""
    told = 0
    for path in SOURCES:
        for call in list_calls(path):
            if not (isinstance(call.func, ast.Attribute) and call.func.attr == "from_pretrained"):
                continue
            owner = ast.unparse(call.func.value)
            if owner not in LOADERS or path.is_relative_to(ROOT / "benchmarks/miniature"):
                continue
            flags = {k.arg: ast.unparse(k.value) for k in call.keywords}
            assert flags.get("trust_remote_code") == "False", f"{path}:{call.lineno}"
            told += 1
    assert told > 10


def test_pickles_are_loaded_as_weights_alone() -> None:
    told = 0
    for path in SOURCES:
        for call in list_calls(path):
            if ast.unparse(call.func) == "torch.load":
                assert "weights_only=True" in ast.unparse(call), f"{path}:{call.lineno}"
                told += 1
            assert ast.unparse(call.func) not in (
                "pickle.load",
                "pickle.loads",
                "yaml.load",
                "yaml.unsafe_load",
            )
    assert told >= 3


@pytest.mark.parametrize("role", ["vlm", "lrm"])
def test_code_in_a_checkpoint_does_not_run(role: str, copied_folders: dict[str, Path]) -> None:
    """A folder that names classes of its own, as hub repositories do, for every kind of loader."""
    folder = copied_folders[role]
    named = {name: f"own.{kind}" for name, kind in (("AutoConfig", "C"), ("AutoModel", "M"),
    ("AutoModelForCausalLM", "M"),
             ("AutoModelForImageTextToText", "M"), ("AutoProcessor", "P"), ("AutoTokenizer", "T"),
             ("AutoImageProcessor", "P"))}  # fmt: skip
    (folder / "own.py").write_text(CODE)
    for name in ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"):
        path = folder / name
        content = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**content, "auto_map": named}))

    def use() -> None:
        triple = Triple.open(**copied_folders)
        on_load.load(triple, None)
        on_load.load_language_model(triple, "lrm")
        open_engine(triple, None, {}, EngineSettings(batch_size=2, max_new_tokens=2))

    attempt(use, *copied_folders.values())
    assert not Path("hacked").exists()


def test_a_model_type_of_its_own_runs_nothing_either(copied_folders: dict[str, Path]) -> None:
    folder = copied_folders["lrm"]
    (folder / "own.py").write_text(CODE)
    content = json.loads((folder / "config.json").read_text())
    strange = {
        **content,
        "model_type": "strange",
        "auto_map": {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"},
    }
    (folder / "config.json").write_text(json.dumps(strange))
    attempt(lambda: Triple.open(**copied_folders), folder)
    assert not Path("hacked").exists()


@pytest.mark.parametrize("name", ["ImageMCQDataset", "MMMUDataset", "MathVista", "ImageVQADataset"])
def test_cells_are_literals_in_every_module_of_a_dataset(name: str) -> None:
    for module in list_modules(load_dataset_class(name)):
        assert vars(module)["eval"] is parse_literal


@pytest.mark.parametrize(
    "text",
    [
        *HOSTILE,
        "[].__class__",
        "(lambda: 1)()",
        "9**9**9",
        "'a' * 10**9",
        "f'{1}'",
        "[x for x in y]",
        "a.b",
        "1 .real",
    ],
)
def test_what_is_no_literal_is_not_evaluated(text: str) -> None:
    try:
        value = parse_literal(text)
    except SyntaxError:
        return
    assert isinstance(value, str | int | float | complex | bool | None | list | tuple | bytes)
    assert not Path("hacked").exists()


def test_a_copy_of_a_checkpoint_keeps_its_code_as_a_file(
    copied_folders: dict[str, Path], tmp_path: Path
) -> None:
    """What a merge copies from V it does not run."""
    from frism.merging.export import Job, export
    from frism.method.discovery import find

    (copied_folders["vlm"] / "own.py").write_text(CODE)
    triple = Triple.open(**copied_folders)
    export(Job(triple, "inject", find("inject").validate({}), "mat", tmp_path / "out"))
    assert (tmp_path / "out/own.py").read_text() == CODE
    assert not Path("hacked").exists() and not (tmp_path / "out/hacked").exists()
    shutil.rmtree(tmp_path / "out")
