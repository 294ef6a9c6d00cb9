"""The digest follows what code does and what it imports, and nothing else."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow.code_digest import digest_code, trace_imports

FILES = {
    "frism/__init__.py": "",
    "frism/core.py": '"""Core."""\nimport torch\n\ndef double(x):\n    """2x."""\n    return 2 * x  # two\n',
    "benchmarks/__init__.py": "",
    "benchmarks/run.py": "from frism.core import double\n",
    "benchmarks/lazy.py": "def f():\n    from . import run\n    return run\n",
    "benchmarks/deep/__init__.py": "from ..run import double\n",
    "benchmarks/deep/leaf.py": "import json\n",
    "benchmarks/plot.py": "import matplotlib.pyplot as plt\n",
    "baselines/__init__.py": "",
    "baselines/inject.py": "from torch import Tensor\n\ndef merge(vlm):\n    return vlm\n",
    "benchmarks/definitions/a.yaml": "axis: perception\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def digest(project: Path, *modules: str, **options) -> str:
    return digest_code(*modules, root=project, **options)


def test_names_every_module_on_the_way(project):
    assert set(trace_imports(["benchmarks.lazy"], project)[0]) == {
        "benchmarks", "benchmarks.lazy", "benchmarks.run", "frism", "frism.core",
    }  # fmt: skip
    assert set(trace_imports(["benchmarks.deep.leaf"], project)[0]) == {
        "benchmarks", "benchmarks.deep", "benchmarks.deep.leaf", "benchmarks.run", "frism", "frism.core",
    }  # fmt: skip


def test_names_the_libraries(project):
    assert trace_imports(["benchmarks.run"], project)[1] == {"torch"}
    assert trace_imports(["benchmarks.plot"], project)[1] == {"matplotlib"}
    assert trace_imports(["benchmarks.deep.leaf"], project)[1] == {"torch"}  # json is Python's own


@pytest.mark.parametrize(
    "prose",
    [
        '"""Another docstring."""\nimport torch\n\ndef double(x):\n    return 2 * x\n',
        "import torch\n# a remark\n\n\ndef double(x):\n    '''Other.'''\n    return (2 *\n        x)\n",
    ],
)
def test_prose_and_layout_do_not_count(project, prose):
    before = digest(project, "benchmarks.run")
    (project / "frism/core.py").write_text(prose)
    assert digest(project, "benchmarks.run") == before


def test_what_a_setting_means_does_not_count_and_its_range_does(project):
    def written(text: str) -> str:
        (project / "frism/core.py").write_text(f"from pydantic import Field\n\nsize = Field({text})\n")
        return digest(project, "frism.core")

    assert written('2, ge=1, description="how much"') == written('2, ge=1, description="how " "many"')
    assert written('2, ge=1, description="how much"') != written('2, ge=2, description="how much"')


@pytest.mark.parametrize("module", ["benchmarks.run", "benchmarks.lazy", "benchmarks.deep.leaf"])
def test_an_edit_far_below_counts(project, module):
    before, elsewhere = digest(project, module), digest(project, "benchmarks.plot")
    (project / "frism/core.py").write_text(FILES["frism/core.py"].replace("2 * x", "3 * x"))
    assert digest(project, module) != before
    assert digest(project, "benchmarks.plot") == elsewhere


def test_what_does_nothing_for_a_job_can_be_left_out(project):
    """With what it alone imports: its submodules and libraries too."""
    (project / "benchmarks/all.py").write_text("from . import plot, run\nfrom .deep import leaf\n")
    kept, libraries = trace_imports(["benchmarks.all"], project, ["benchmarks.plot", "benchmarks.deep"])
    assert set(kept) == {"benchmarks", "benchmarks.all", "benchmarks.run", "frism", "frism.core"}
    assert libraries == {"torch"}
    with pytest.raises(FileNotFoundError, match=r"no module benchmarks\.polt"):
        digest(project, "benchmarks.all", without=["benchmarks.polt"])


def test_only_the_edited_method_changes(project):
    (project / "baselines/ties.py").write_text("def merge(vlm):\n    return -vlm\n")
    before = {m: digest(project, "benchmarks.run", f"baselines.{m}") for m in ("inject", "ties")}
    (project / "baselines/ties.py").write_text("def merge(vlm):\n    return 0 * vlm\n")
    after = {m: digest(project, "benchmarks.run", f"baselines.{m}") for m in ("inject", "ties")}
    assert after["inject"] == before["inject"]
    assert after["ties"] != before["ties"]


def test_data_files_count_by_their_bytes(project):
    before = digest(project, "benchmarks.run", data=["benchmarks/definitions/*.yaml"])
    (project / "benchmarks/definitions/a.yaml").write_text("axis: reasoning\n")
    assert digest(project, "benchmarks.run", data=["benchmarks/definitions/*.yaml"]) != before


def test_what_is_not_there_is_an_error(project):
    with pytest.raises(FileNotFoundError, match=r"baselines\.nothing"):
        digest(project, "baselines.nothing")
    with pytest.raises(FileNotFoundError, match=r"no file matches x/\*\.yaml"):
        digest(project, "benchmarks.run", data=["x/*.yaml"])


def test_import_circles_end(project):
    (project / "frism/core.py").write_text("import benchmarks.run\n")
    assert set(trace_imports(["benchmarks.run"], project)[0]) >= {"benchmarks.run", "frism.core"}


@settings(deadline=None)  # a busy machine is not a failure
@given(st.permutations(["benchmarks.run", "benchmarks.plot", "baselines.inject"]))
def test_order_does_not_count(order):
    root = Path(__file__).resolve().parents[2]
    modules = {"benchmarks.run": "benchmarks.statistics.comparison", "benchmarks.plot": "frism.files"}
    chosen = [modules.get(name, name) for name in order]
    assert digest_code(*chosen, root=root) == digest_code(*sorted(chosen), root=root)
