"""Every fault of a config is one sentence that names the file, the key and the remedy."""

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.study.config import StudyConfig
from frism.errors import UserError
from workflow import config as configs
from workflow import resolve

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "config"
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
    "not a choice": (put("scope", "all"), "scope must be one of mat, mat_no_qk, mat_attn, mat_mlp, mat+bias"),
    "a scope of a checkpoint": (
        put("variants.other", {"checkpoint": "models/x", "scope": "mat"}),
        "variants.other: a checkpoint is asked as it is: drop scope",
    ),
    "a third axis that no benchmark is of": (
        put("selection.third_axis", "short chain"),
        "selection.third_axis: no benchmark is of the group 'short chain' (there are: short chains, unasked)."
        " Did you mean 'short chains'?",
    ),
    "a third axis that is not asked on dev": (
        put("selection.third_axis", "short chains"),
        "selection.third_axis: mini_add is not asked on dev: write it as {name: mini_add, dev: true} under",
    ),
    "a budget without its axis": (
        put("selection.third_budget", 0.1),
        "third_budget is of an axis that is not named: give third_axis",
    ),
    "turns of a served model": (
        put("engine", {"name": "vllm", "max_new_tokens": 8, "turns": True}),
        "turns is a setting of transformers and vlmeval, not of vllm",
    ),
    "kinds of photographs": (
        put("calibration", {"source": "folder", "folder": "x", "kinds": ["short chains"]}),
        "kinds is a setting of miniature, not of folder",
    ),
    "a grid and a search": (
        put("variants.inject.search", {"trials": 3, "ranges": {"strength": {"low": 0, "high": 1}}}),
        "variants.inject: its parameters are either swept (grid) or searched (search): drop one of the two.",
    ),
    "an empty range": (
        put(
            "variants.other",
            {"method": "inject", "search": {"trials": 3, "ranges": {"strength": {"low": 1, "high": 1}}}},
        ),
        "variants.other.search.ranges.strength: low 1 is not below high 1: exchange them",
    ),
    "a rival that is no variant": (
        put("statistics.rivals", ["injekt"]),
        "statistics.rivals: 'injekt' is no variant of this config. Did you mean 'inject'?",
    ),
    "a search of what the method does not allow": (
        put(
            "variants.other",
            {"method": "ties", "search": {"trials": 3, "ranges": {"density": {"low": 0, "high": 1}}}},
        ),
        "variant other: method ties: parameter 'density' must be a number above 0",
    ),
    "a base that is not there": (
        put("variants.inject.base", "nowhere"),
        "variants.inject.base nowhere holds no config.json: name the folder of a text model.",
    ),
    "a reference of another scope": (
        put("variants.frism_uniform.scope", "mat_attn"),
        "variant frism_uniform: its scope is not that of its reference 'frism'",
    ),
    "too small": (put("questions.test", 0), "questions.test is 0, which is too small"),
    "too large": (
        put("selection.perception_budget", 2),
        "selection.perception_budget is 2, which is too large",
    ),
    "empty grid": (put("variants.inject.grid", {"strength": []}), "variants.inject.grid.strength is empty"),
    "named twice": (
        put("benchmarks", ["mini_total", "mini_total"]),
        "benchmarks: mini_total is named twice: keep one.",
    ),
    "swept twice": (put("variants.inject.grid", {"strength": [0.5, 0.5]}), "strength names 0.5 twice"),
    "a number in quotes": (put("questions.dev", "12"), "questions.dev must be a whole number, not '12'"),
    "yes for a number": (put("seed", True), "seed must be a whole number, not True"),
    "neither method nor checkpoint": (
        put("variants.other", {"params": {}}),
        "variants.other: a variant has either a method or a checkpoint: give one of the two.",
    ),
    "both method and checkpoint": (
        put("variants.other", {"method": "inject", "checkpoint": "models/x"}),
        "variants.other: a variant has either a method or a checkpoint",
    ),
    "a checkpoint with a grid": (
        put("variants.other", {"checkpoint": "models/x", "grid": {"strength": [1.0]}}),
        "variants.other: a checkpoint is asked as it is: drop grid",
    ),
    "a checkpoint that is not there": (
        put("variants.other", {"checkpoint": "models/x"}),
        "variants.other.checkpoint models/x holds no config.json",
    ),
    "an export for all variants": (
        put("engine", {"name": "vllm", "max_new_tokens": 8, "checkpoint": "exported"}),
        "engine.checkpoint is one variant by hand",
    ),
    "a server without an address": (
        put("engine", {"name": "openai", "max_new_tokens": 8, "model": "m"}),
        "variant vlm: engine openai needs the address that serves it",
        "variants.vlm.served",
    ),
    "a server's model for two variants": (
        put("engine", {"name": "openai", "max_new_tokens": 8, "address": "http://x/v1", "model": "m"}),
        "engine.serve: vllm",
    ),
    "a server's address and one of its own": (
        put("engine", {"name": "openai", "max_new_tokens": 8, "serve": "vllm", "model": "m"}),
        "serve starts a server of its own: drop address and model",
    ),
    "served without a server": (
        put("variants.vlm", {"method": "vlm", "served": {"model": "m"}}),
        "variant vlm: `served` is for variants that engine openai finds elsewhere",
    ),
    "vLLM's settings for another engine": (
        put("engine", {"name": "transformers", "max_new_tokens": 8, "vllm": {"max_num_seqs": 8}}),
        "vllm is a setting of vllm and openai, not of transformers",
    ),
    "extends nothing": (put("extends", "nowhere.yaml"), "nowhere.yaml: No such file"),
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
        "variant inject: method inject: parameter 'strength' must be a number, not 'much'",
    ),
    "fixed and swept": (put("variants.inject.params", {"strength": 1.0}), "'strength' is both fixed"),
    "unknown benchmark": (
        lambda config: config["benchmarks"].append("mini_totl"),
        "benchmarks: unknown benchmark 'mini_totl'",
        "Did you mean 'mini_total'?",
    ),
    "unknown text task": (put("text", ["mini_nett"]), "text: unknown benchmark 'mini_nett'", "'mini_net'"),
    "no perception": (put("benchmarks", ["mini_total"]), "names none on the axis 'perception'"),
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
    "reference without anything learned": (
        put("variants.frism_uniform.reference", "inject"),
        "variant frism_uniform: reference 'inject' learns no coefficients",
    ),
    "nothing to learn from": (
        drop("calibration"),
        "variant frism learns from unlabelled pictures and questions: say which under `calibration`",
    ),
    "unknown source of calibration": (
        put("calibration.source", "vizwizz"),
        "calibration.source must be one of miniature, vizwiz, folder, not 'vizwizz'",
        "Did you mean 'vizwiz'?",
    ),
    "calibration's settings at odds": (
        put("calibration", {"source": "miniature", "split": "val"}),
        "calibration: split is a setting of vizwiz, not of miniature",
    ),
    "no direction kept": (put("spectrum.rank", 0), "spectrum.rank is 0, which is too small"),
    "no job for the spectra": (put("spectrum.parts", 0), "spectrum.parts is 0, which is too small"),
    "unknown key of the spectrum": (
        put("spectrum", {"rnak": 8}),
        "unknown key 'rnak' in spectrum",
        "Did you mean 'rank'?",
    ),
    "unknown solver": (put("spectrum.solver", "svd"), "spectrum.solver must be one of auto, "),
    "factors nowhere": (put("spectrum.factors", "disk"), "spectrum.factors must be one of auto, resident"),
    "ranks scored by a benchmark of another axis": (
        put("explain", {"reasoning": "mini_number"}),
        "explain.reasoning is 'mini_number', which is no benchmark of this config on that axis (there are:"
        " mini_total, mini_net",
    ),
    "unknown published numbers": (
        put("published", "frizm"),
        "published: there are no published numbers called 'frizm'",
    ),
    "needless reference": (put("variants.inject.reference", "frism"), "method inject uses no reference"),
    "name of a parent": (put("variants.base", {"method": "inject"}), "variant base: the name is taken"),
    "nothing to compare with": (drop("variants.vlm"), "no variant has `method: vlm`"),
    "unknown engine": (
        put("engine.name", "transformer"),
        "engine.name must be one of transformers, vlmeval, vllm, openai, not 'transformer'",
        "Did you mean 'transformers'?",
    ),
    "engine's settings at odds": (
        put("engine", {"name": "vlmeval", "max_new_tokens": 8, "token_budget": 100}),
        "engine: token_budget is a setting of transformers, not of vlmeval",
    ),
    "optional number of the wrong kind": (
        put("engine.token_budget", "many"),
        "engine.token_budget must be a whole number or nothing, not 'many'",
    ),
    "optional number too small": (put("engine.token_budget", 0), "engine.token_budget is 0, which is too"),
    "number of test questions": (
        put("questions.test", "most"),
        "questions.test must be a whole number or 'all', not 'most'",
    ),
    "unknown key of the judge": (
        put("judge", {"adress": "http://localhost/v1", "model": "m"}),
        "unknown key 'adress' in judge",
        "Did you mean 'address'?",
    ),
    "judge without a model": (put("judge", {"address": "http://x"}), "the key 'model' is missing in judge"),
    "margin too large": (put("selection.margin", 1.5), "selection.margin"),
    "unknown way of prompting": (
        put("prompting", {"custom_prompt": True}),
        "unknown key 'custom_prompt' in prompting",
        "'custom_prompts'",
    ),
    "a benchmark without a name": (
        lambda config: config["benchmarks"].append({"axis": "reasoning"}),
        "benchmarks.16: the key 'name' is missing.",
    ),
    "a benchmark of no kind": (
        lambda config: config["benchmarks"].append(7),
        "benchmarks.16 must be a text or a mapping, not 7",
    ),
    "a benchmark twice": (
        lambda config: config["benchmarks"].append({"name": "mini_total", "max_new_tokens": 9}),
        "benchmarks: mini_total is named twice",
    ),
    "a published benchmark without an axis": (
        lambda config: config["benchmarks"].append("BLINK2"),
        "benchmarks: unknown benchmark 'BLINK2'",
    ),
    "a faulty mapping": (
        lambda config: config["benchmarks"].append({"name": "POPE", "axis": "seeing"}),
        "benchmarks: benchmark POPE: axis: Input should be 'perception'",
    ),
    "published tables without a folder": (
        lambda config: config["benchmarks"].append("POPE"),
        "benchmarks: POPE needs a TSV: name the folder that holds it as data.folder",
    ),
    "no such folder": (put("data", {"folder": "nowhere"}), "data.folder nowhere is not a folder"),
    "text among pictures": (
        lambda config: config["benchmarks"].append("gsm8k"),
        "benchmarks: gsm8k asks without pictures: name it under `text`",
    ),
    "pictures among texts": (
        lambda config: config["text"].append("POPE"),
        "text: POPE asks about pictures: name it under `benchmarks`",
    ),
    "unknown lm-eval task": (
        lambda config: config["text"].append({"name": "gsm9k", "kind": "lm_eval"}),
        "text: lm-eval has no task 'gsm9k'",
        "Did you mean 'gsm8k'?",
    ),
    "all of an endless benchmark": (
        put("questions.test", "all"),
        "questions.test is all, but mini_number is generated on the fly: set it to a number.",
    ),
}


def check(config: dict, source: str = "config/x.yaml") -> StudyConfig:
    return configs.load(config, source, FOLDER)


def test_the_shipped_config_is_sound():
    check(copy.deepcopy(CONFIG))


REAL = sorted(
    path.name
    for path in FOLDER.glob("*.yaml")
    if "\nstudy: " in path.read_text() and "miniature" not in path.name
)


@pytest.mark.parametrize("name", REAL)
def test_configs_of_real_checkpoints_are_sound(name, tmp_path):
    """As soon as the tables of questions are where they say."""
    config = yaml.safe_load((FOLDER / name).read_text()) | {"data": {"folder": str(tmp_path)}}
    entries = StudyConfig.load(FOLDER / name).benchmarks
    tables = [d["name"] for d in resolve.load_definitions(entries) if d["source"].get("tsv") is not None]
    for table in tables:
        (tmp_path / f"{table}.tsv").touch()
    check(config)
    (tmp_path / f"{tables[0]}.tsv").unlink()
    with pytest.raises(UserError, match=rf"{tables[0]}.tsv is missing"):
        check(config)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence(fault):
    edit, *parts = FAULTS[fault]
    config = copy.deepcopy(CONFIG)
    edit(config)
    with pytest.raises(UserError) as caught:
        check(config)
    message = str(caught.value)
    assert message.startswith("config/x.yaml: ") or fault == "extends nothing"
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_methods_say_what_they_need():
    found = resolve.find_needs(check(CONFIG))
    assert found["inject"] == found["vlm"] == []
    assert found["frism"] == ["calibration", "spectrum"]
    assert found["frism_uniform"] == ["reference", "spectrum"]


def test_a_checkpoint_needs_nothing(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    config = copy.deepcopy(CONFIG)
    config["variants"]["reasoner"] = {"checkpoint": str(tmp_path)}
    assert resolve.find_needs(check(config))["reasoner"] == []


def test_the_study_of_frism_itself_is_sound():
    """And asks what the miniature asks, so that the two can be compared."""
    config = yaml.safe_load((FOLDER / "miniature_full.yaml").read_text())
    full = check(config)
    for key in ("triple", "scope", "engine", "benchmarks", "questions", "selection", "statistics"):
        assert config[key] == CONFIG[key], key
    assert len(full.variants["rank_block"].points) == 30


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
