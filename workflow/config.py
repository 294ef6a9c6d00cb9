"""Check a study's config as a whole before anything runs; every fault is one sentence.

The model (benchmarks/study/config.py) knows the shape, and how the sections go together. What it cannot know
is checked here: that methods, their parameters, benchmarks and data exist, and fit one another.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.questions import tsv_files
from benchmarks.registry import lookup
from benchmarks.study.config import StudyConfig
from benchmarks.study.extends import resolve_extends
from frism.errors import UserError, suggest
from workflow import resolve
from workflow.code_digest import ROOT

PAPERS = ROOT / "results" / "reference" / "papers"
AXES = ("perception", "reasoning")


def load(content: Mapping[str, Any], source: str, folder: Path) -> StudyConfig:
    """Return a config checked and filled, with what it extends (relative to `folder`).

    Raises UserError for its first fault, in one sentence that begins with `source`, the file's name.
    """
    study = StudyConfig.make(resolve_extends(content, folder), source)
    for fault in _faults(study):
        raise UserError(f"{source}: {fault}")
    return study


def _faults(study: StudyConfig) -> Iterator[str]:
    try:
        yield from _benchmark_faults(study)
        yield from _data_faults(study)
        learning = [name for name, needs in resolve.find_needs(study).items() if "calibration" in needs]
    except UserError as error:
        yield str(error)
        return
    learning = [name for name in learning if study.variants[name].calibration is None]
    if learning and study.calibration is None:
        yield (
            f"variant {learning[0]} learns from unlabelled pictures and questions: say which under"
            " `calibration` (config/README.md)."
        )
    yield from _engine_faults(study)
    yield from _checkpoint_faults(study)
    for axis in AXES:
        name = getattr(study.explain, axis)
        known = [d["name"] for d in resolve.load_definitions(study.benchmarks) if d["axis"] == axis]
        if name is not None and name not in known:
            yield (
                f"explain.{axis} is '{name}', which is no benchmark of this config on that axis (there are:"
                f" {', '.join(known)}).{suggest(name, known)}"
            )
    papers = sorted(path.stem for path in PAPERS.glob("*.yaml"))
    if study.published is not None and study.published not in papers:
        yield (
            f"published: there are no published numbers called '{study.published}' (there are:"
            f" {', '.join(papers)}).{suggest(study.published, papers)}"
        )


def _benchmark_faults(study: StudyConfig) -> Iterator[str]:
    defined: dict[str, list[dict[str, Any]]] = {}
    for key, entries in (("benchmarks", study.benchmarks), ("text", study.text)):
        try:
            defined[key] = resolve.load_definitions(entries)
        except UserError as error:
            yield f"{key}: {error}"
    for definition in defined["benchmarks"]:
        if definition["kind"] == "lm_eval":
            yield f"benchmarks: {definition['name']} asks without pictures: name it under `text`."
    for definition in defined["text"]:
        if definition["kind"] != "lm_eval" and definition["source"].get("miniature") is None:
            yield f"text: {definition['name']} asks about pictures: name it under `benchmarks`."
    for axis in AXES:
        on_axis = [d for d in defined["benchmarks"] if d["axis"] == axis]
        if not any(d["on_dev"] for d in on_axis):
            split = " that can be split into dev and test" if on_axis else ""
            yield (
                f"benchmarks names none on the axis '{axis}'{split}, so coefficients cannot be chosen: add"
                " one."
            )
    if (third := study.selection.third_axis) is not None:
        members = [d for d in defined["benchmarks"] if d["group"] == third and d["axis"] == "other"]
        if not members:
            groups = sorted({d["group"] for d in defined["benchmarks"] if d["axis"] == "other"})
            there = f" (there are: {', '.join(groups)})" if groups else ""
            hint = suggest(third, groups)
            yield f"selection.third_axis: no benchmark is of the group '{third}'{there}.{hint}"
        silent = [d["name"] for d in members if not d["on_dev"]]
        if silent:
            yield (
                f"selection.third_axis: {silent[0]} is not asked on dev: write it as"
                f" {{name: {silent[0]}, dev: true}} under `benchmarks`."
            )
    for key, split in (("benchmarks", "test"), ("text", "text")):
        generated = [d["name"] for d in defined[key] if d["source"].get("miniature") is not None]
        if generated and getattr(study.questions, split) == "all":
            yield (
                f"questions.{split} is all, but {generated[0]} is generated on the fly: set it to a number."
            )


def _data_faults(study: StudyConfig) -> Iterator[str]:
    folder = study.data.folder
    tables = [
        d["name"] for d in resolve.load_definitions(study.benchmarks) if d["source"].get("tsv") is not None
    ]
    if folder is None and tables:
        yield f"benchmarks: {tables[0]} needs a TSV: name the folder that holds it as data.folder."
    if folder is not None and not Path(folder).is_dir():
        yield f"data.folder {folder} is not a folder: fill it with python -m benchmarks.tools.data."
    for entry in study.benchmarks if tables else ():
        definition = lookup.find(entry)
        if definition.source.tsv is not None:
            tsv_files.locate(definition, folder)


def _engine_faults(study: StudyConfig) -> Iterator[str]:
    if study.engine.checkpoint is not None:
        yield (
            "engine.checkpoint is one variant by hand (python -m benchmarks.stages.predict): drop it, as vLLM"
            " turns into a study's variants by itself."
        )
    if study.engine.name == "openai" and study.engine.serve is None:
        for name, needs in resolve.find_needs(study).items():
            if "dev" in needs:
                yield (
                    f"variant {name} is searched with dev scores of many candidates, which no server has: let"
                    " the study serve them itself (`engine.serve: vllm`)."
                )


def _checkpoint_faults(study: StudyConfig) -> Iterator[str]:
    for name, variant in study.variants.items():
        if variant.checkpoint is not None and not Path(variant.checkpoint, "config.json").is_file():
            yield (
                f"variants.{name}.checkpoint {variant.checkpoint} holds no config.json: name the folder of a"
                " vision-language model."
            )
        if variant.base is not None and not Path(variant.base, "config.json").is_file():
            yield (
                f"variants.{name}.base {variant.base} holds no config.json: name the folder of a text model."
            )
