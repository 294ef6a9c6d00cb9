"""Every fault of a config is one sentence that names the file, the key and the remedy."""

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from frism.errors import UserError
from workflow import settings

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "config/miniature.yaml").read_text())


def put(path: str, value: Any) -> Callable[[dict], None]:
    *parents, last = path.split(".")

    def edit(config: dict) -> None:
        for key in parents:
            config = config[key]
        config[last] = value

    return edit


def drop(path: str) -> Callable[[dict], None]:
    *parents, last = path.split(".")

    def edit(config: dict) -> None:
        for key in parents:
            config = config[key]
        del config[last]

    return edit


FAULTS = {
    "unknown key": (put("varients", {}), "unknown key 'varients'", "Did you mean 'variants'?"),
    "unknown key inside": (put("engine.batchsize", 8), "unknown key 'batchsize' in engine", "'batch_size'"),
    "unknown key of a variant": (
        put("variants.inject.metod", "x"),
        "unknown key 'metod' in variants.inject",
        "Did you mean 'method'?",
    ),
    "missing key": (drop("triple.lrm"), "the key 'lrm' is missing in triple"),
    "wrong type": (put("questions.dev", "many"), "questions.dev must be a whole number, not 'many'"),
    "wrong type of all variants": (put("variants", ["inject"]), "variants must be a mapping"),
    "not a choice": (put("scope", "all"), "scope must be one of mat, mat+bias, mat+bias+norm, not 'all'"),
    "too small": (put("questions.test", 0), "questions.test is 0, which is too small"),
    "too large": (
        put("selection.perception_budget", 2),
        "selection.perception_budget is 2, which is too large",
    ),
    "empty grid": (put("variants.inject.grid", {"strength": []}), "variants.inject.grid.strength is empty"),
    "named twice": (put("benchmarks", ["mini_total", "mini_total"]), "benchmarks names 'mini_total' twice"),
    "bad study name": (put("study", "My study"), "study is 'My study': use lower-case letters"),
    "bad variant name": (put("variants.In-ject", {"method": "inject"}), "'In-ject'"),
    "unknown method": (
        put("variants.inject.method", "injekt"),
        "variant inject: unknown method 'injekt'",
        "Did you mean 'inject'?",
    ),
    "unknown parameter": (
        put("variants.inject.grid", {"strenght": [1]}),
        "variant inject: method inject has no parameter 'strenght'",
        "Did you mean 'strength'?",
    ),
    "ill-typed parameter": (
        put("variants.inject.grid", {"strength": [0.1, "much"]}),
        "variant inject: method inject: parameter 'strength' must be float, not 'much' (str)",
    ),
    "fixed and swept": (put("variants.inject.params", {"strength": 1.0}), "'strength' is both fixed"),
    "unknown benchmark": (
        lambda config: config["benchmarks"].append("mini_totl"),
        "benchmarks: unknown benchmark 'mini_totl'",
        "Did you mean 'mini_total'?",
    ),
    "unknown text task": (put("text", ["mini_nett"]), "text: unknown benchmark 'mini_nett'", "'mini_net'"),
    "no perception": (put("benchmarks", ["mini_total"]), "holds none on the axis 'perception'"),
    "no reference": (drop("variants.frism_uniform.reference"), "variant frism_uniform", "reference: frism"),
    "unknown reference": (
        put("variants.frism_uniform.reference", "frizm"),
        "reference 'frizm' is not another variant",
        "Did you mean 'frism'?",
    ),
    "reference to itself": (
        put("variants.frism_uniform.reference", "frism_uniform"),
        "is not another variant",
    ),
    "reference of a reference": (
        put("variants.frism_uniform.reference", "frism_matrix"),
        "is itself made from a reference",
    ),
    "needless reference": (put("variants.inject.reference", "frism"), "method inject uses no reference"),
    "name of a parent": (put("variants.base", {"method": "inject"}), "variant base: the name is taken"),
    "nothing to compare with": (drop("variants.vlm"), "no variant has `method: vlm`"),
}


def test_the_shipped_config_is_sound():
    settings.check(copy.deepcopy(CONFIG), "config/miniature.yaml")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence(fault):
    edit, *parts = FAULTS[fault]
    config = copy.deepcopy(CONFIG)
    edit(config)
    with pytest.raises(UserError) as caught:
        settings.check(config, "config/x.yaml")
    message = str(caught.value)
    assert message.startswith("config/x.yaml: ")
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_grid_points_are_all_combinations_the_last_key_fastest():
    variant = {"params": {"a": 1}, "grid": {"b": [1, 2], "c": [3, 4]}}
    assert [(p["a"], p["b"], p["c"]) for p in settings.points(variant)] == [
        (1, 1, 3),
        (1, 1, 4),
        (1, 2, 3),
        (1, 2, 4),
    ]
    assert settings.points({}) == [{}]


@pytest.mark.parametrize("fault", ["unknown key of a variant", "unknown method"])
def test_snakemake_says_the_sentence_and_fails(fault, tmp_path):
    edit, *parts = FAULTS[fault]
    config = copy.deepcopy(CONFIG)
    edit(config)
    path = tmp_path / "typo.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    run = subprocess.run(
        ["snakemake", "-n", "--configfile", str(path)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert run.returncode != 0
    error = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert all(part in error[0] for part in [str(path), *parts])
    assert "Traceback" not in run.stderr
