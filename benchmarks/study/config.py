"""Describe a study as one model: what is merged, fitted, asked and computed, with every default filled in.

The workflow checks a config with it once and records it in results/<study>/study.json; stages read that file.
Each section is a file of its own, so that a stage depends on the settings that it goes by alone (slices/).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from benchmarks.study.analysis_settings import AnalysisSettings
from benchmarks.study.calibration_settings import CalibrationSettings
from benchmarks.study.engine_settings import EngineName, EngineSettings
from benchmarks.study.entry import Entry, Name, list_names
from benchmarks.study.extends import merge_configs, read_yaml, resolve_extends
from benchmarks.study.faults import describe_fault
from benchmarks.study.judge_settings import JudgeSettings
from benchmarks.study.question_settings import DataSettings, PromptingSettings, QuestionSettings
from benchmarks.study.report_settings import ExplainSettings, StatisticsSettings
from benchmarks.study.section import Section
from benchmarks.study.selection_settings import SelectionSettings
from benchmarks.study.spectrum_settings import StudySpectrum
from benchmarks.study.triple_settings import TripleSettings
from benchmarks.study.variant_config import ScopeName, VariantConfig
from frism.documents import check_plain
from frism.errors import UserError, suggest
from frism.files import read_json

PARENTS = ("base", "lrm")  # the triple's language models: they have text scores and nothing else


class StudyEngine(EngineSettings):
    """Holds the engine of a study, whose name and token limit have no default."""

    name: EngineName
    max_new_tokens: int = Field(ge=1)


class StudyConfig(Section):
    """Holds a whole study."""

    study: Name = Field(description="names the results folder `results/<study>`")
    labels: dict[str, str] = Field(
        {},
        description="words that say of which kind V and R are, `{vlm: turned, lrm: forgetful}`: `frism"
        " across` sorts triples into cells by them",
        exclude_if=lambda value: not value,  # records are older than these
    )
    seed: int = Field(
        0, ge=0, description="of fits, of methods that draw random numbers, and of the order of questions"
    )
    triple: TripleSettings
    scope: ScopeName = Field("mat", description="tensors that a method may touch: matrices, biases, norms")
    engine: StudyEngine
    spectrum: StudySpectrum = StudySpectrum()
    calibration: CalibrationSettings | None = None
    benchmarks: tuple[Entry, ...] = Field(
        min_length=1,
        description="what is asked, in the order of the tables: names, or mappings with a `name` that change"
        " what is known of it (`axis`, `max_new_tokens`, `sha256`, ...). A name is a file in"
        " `benchmarks/definitions`, an entry of `benchmarks/registry/catalogue.yaml`, or any other dataset of"
        " VLMEvalKit (then with its `axis`)",
    )
    text: tuple[Entry, ...] = Field(
        (),
        description="asked without a picture, through lm-eval: `gsm8k`, `math_500`, `mmlu`, any other task as"
        " `{name: arc_easy, kind: lm_eval}`; a benchmark of the miniature world means its scenes in words",
    )
    text_of: Literal["all", "parents"] = Field(
        "all",
        description="who answers in words: all variants and the triple's language models, or these alone"
        " (`parents`: what R forgot)",
        exclude_if=lambda value: value == "all",
    )
    data: DataSettings = DataSettings()
    prompting: PromptingSettings = PromptingSettings()
    questions: QuestionSettings
    judge: JudgeSettings | None = None
    selection: SelectionSettings = SelectionSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    explain: ExplainSettings = ExplainSettings()
    published: str | None = Field(
        None,
        description="published numbers to print beside this study's: a file in `results/reference/papers`",
    )
    variants: dict[Name, VariantConfig] = Field(min_length=1)
    analyses: dict[Name, AnalysisSettings] = Field(
        {},
        description="why a merge works: knock-outs and the like, by a name of their own (docs/analyses.md)",
        exclude_if=lambda value: not value,  # records are older than this
    )

    @classmethod
    def make(cls, content: Mapping[str, Any], source: str) -> Self:
        """Fill and check a config. Raises UserError, one sentence that begins with `source`."""
        check_plain(content, source)
        text = json.dumps(_draw_by_seed(content), default=str)
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            raise UserError(f"{source}: {describe_fault(cls, json.loads(text), error)}") from None

    @classmethod
    def load(cls, *paths: Path) -> Self:
        """Read a config from its file, with what it extends; later files go over earlier ones.

        Raises UserError in one sentence.
        """
        whole: dict[str, Any] = {}
        for path in paths:
            whole = merge_configs(whole, resolve_extends(read_yaml(path), path.parent))
        return cls.make(whole, " + ".join(map(str, paths)))

    @classmethod
    def read(cls, record: Path) -> Self:
        """Read the config that a study was run with from its record, study.json. Raises UserError."""
        if not record.is_file():
            raise UserError(
                f"{record} is missing: {record.parent} is no results folder of a study; run snakemake first."
            )
        content = read_json(record).get("config")
        if not isinstance(content, dict):
            raise UserError(f"{record} is not the record of a study: write it anew with snakemake.")
        return cls.make(content, str(record))

    @field_validator("benchmarks", "text")
    @classmethod
    def _name_each_once(cls, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        listed = list_names(entries)
        for name in listed:
            if listed.count(name) > 1:
                raise ValueError(f"{name} is named twice: keep one")
        return entries

    @model_validator(mode="after")
    def _let_variants_refer_to_each_other(self) -> Self:
        for name, variant in self.variants.items():
            if fault := self._reference_fault(name, variant.reference):
                raise ValueError(f"variant {name}: {fault}")
        if not any(variant.method == "vlm" for variant in self.variants.values()):
            raise ValueError(
                "no variant has `method: vlm`, which all others are compared with: add `vlm: {method: vlm}`"
            )
        return self

    @model_validator(mode="after")
    def _let_servers_have_each_variant(self) -> Self:
        if fault := next(self._serving_faults(), ""):
            raise ValueError(fault)
        return self

    def _serving_faults(self) -> Iterator[str]:
        elsewhere = self.engine.name == "openai" and not self.engine.serve
        holders: dict[tuple[str | None, str | None], str] = {}
        for name, variant in self.variants.items():
            if variant.served is not None and not elsewhere:
                yield f"variant {name}: `served` is for variants that engine openai finds elsewhere: drop it"
            if not elsewhere:
                continue
            found = self.engine.at(variant.served)
            if not (found.address and found.model):
                yield (
                    f"variant {name}: engine openai needs the address that serves it and its name there: give"
                    f" variants.{name}.served, or let the study serve them itself (`engine.serve: vllm`)"
                )
            if len(variant.points) > 1:
                yield (
                    f"variant {name}: a grid has {len(variant.points)} points and a served model is one: fix"
                    " its params, or let the study serve them itself (`engine.serve: vllm`)"
                )
            place = (found.address, found.model)
            if place in holders:
                yield (
                    f"variant {name}: {found.model} at {found.address} is variant {holders[place]} already:"
                    f" give variants.{name}.served, or `engine.serve: vllm`"
                )
            holders[place] = name

    @model_validator(mode="after")
    def _name_rivals_among_the_variants(self) -> Self:
        for name in self.statistics.rivals:
            if name not in self.variants:
                hint = suggest(name, self.variants)
                raise ValueError(
                    f"statistics.rivals: '{name}' is no variant of this config{'.' * bool(hint)}{hint}"
                )
        return self

    @model_validator(mode="after")
    def _analyse_what_there_is(self) -> Self:
        for name, entry in self.analyses.items():
            for key, known in (("variants", [*self.variants]), ("benchmarks", self.benchmark_names)):
                for wanted in getattr(entry, key):
                    if wanted not in known:
                        hint = suggest(wanted, known)
                        raise ValueError(
                            f"analyses.{name}.{key}: '{wanted}' is none of this config"
                            f"{'.' * bool(hint)}{hint}"
                        )
            if entry.questions > self.questions.dev:
                raise ValueError(
                    f"analyses.{name}.questions is {entry.questions}, and dev has {self.questions.dev} per"
                    " benchmark (questions.dev): ask at most as many"
                )
        return self

    def _reference_fault(self, name: str, reference: str | None) -> str:
        if name in PARENTS:
            return "the name is taken by a model of the triple: choose another"
        if reference is None:
            return ""
        if reference not in self.variants or reference == name:
            hint = suggest(reference, self.variants)
            return f"reference '{reference}' is not another variant of this config{'.' * bool(hint)}{hint}"
        if self.variants[reference].reference:
            return f"reference '{reference}' is itself made from a reference: name the one it started from"
        for key in ("scope", "base"):
            if getattr(self.variants[name], key) != getattr(self.variants[reference], key):
                return (
                    f"its {key} is not that of its reference '{reference}', whose coefficients it takes over"
                )
        return ""

    @property
    def benchmark_names(self) -> list[str]:
        """List the benchmarks with pictures, in the order of the tables."""
        return list_names(self.benchmarks)

    @property
    def text_names(self) -> list[str]:
        """List the benchmarks in words alone."""
        return list_names(self.text)

    @property
    def owners(self) -> list[str]:
        """List the models whose text ability is measured: the triple's language models and every variant."""
        if not self.text:
            return []
        return [*PARENTS] if self.text_of == "parents" else [*PARENTS, *self.variants]

    @property
    def text_reference(self) -> str:
        """Return whose text answers all others are compared with: B's where B and R alone were asked."""
        return PARENTS[0] if self.text_of == "parents" else self.reference

    @property
    def reference(self) -> str:
        """Return the variant that everything is compared with: the first whose method is `vlm`."""
        return next(name for name, variant in self.variants.items() if variant.method == "vlm")

    @property
    def learned(self) -> list[str]:
        """List the variants that others name as their reference: those with controls."""
        referenced = {v.reference for v in self.variants.values()}
        return [name for name in self.variants if name in referenced]

    def role(self, name: str) -> str:
        """Return the role of a variant: `reference`, `learned` (has controls), `control`, or `baseline`."""
        if name == self.reference:
            return "reference"
        if self.variants[name].reference is not None:
            return "control"
        return "learned" if name in self.learned else "baseline"


def _draw_by_seed(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the draws of answers the study's seed, unless they have their own."""
    engine = content.get("engine")
    if not isinstance(engine, dict) or not isinstance(engine.get("sampling"), dict):
        return content
    return {
        **content,
        "engine": {**engine, "sampling": {"seed": content.get("seed", 0), **engine["sampling"]}},
    }
