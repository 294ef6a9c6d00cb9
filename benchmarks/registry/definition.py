"""Define a benchmark: where its questions come from, how they are scored, what is known of it."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"  # it becomes a file's name
WORDS = r"^[^\x00-\x1f\x7f<>|`\[\]]+$"  # it becomes a heading
Axis = Literal["perception", "reasoning", "text", "other"]
AnswerForm = Literal["text", "yes_no", "option", "options", "number", "json"]
Metric = Literal[
    "accuracy", "relaxed_accuracy", "anls", "vqa_score", "yes_no", "option", "circular", "mme",
    "hallusionbench", "ocrbench", "mathvista", "mathverse", "mathvision", "logicvista", "dynamath", "wemath",
    "native", "lm_eval",
]  # fmt: skip


class MiniatureSource(BaseModel):
    """Take questions from the miniature world: a question family, and what it requests."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    family: str
    request: Literal["short", "steps", "none"]


class TsvSource(BaseModel):
    """Take questions from <dataset>.tsv in the study's data folder, as VLMEvalKit publishes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LmEvalSource(BaseModel):
    """Take questions from a task of lm-eval, by its name there; further keys are for the text column."""

    model_config = ConfigDict(extra="allow", frozen=True)
    task: str


class Source(BaseModel):
    """Name the source of a benchmark's questions: exactly one of the three."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    miniature: MiniatureSource | None = None
    tsv: TsvSource | None = None
    lm_eval: LmEvalSource | None = None

    @model_validator(mode="after")
    def _check_exactly_one(self) -> Self:
        if sum(value is not None for value in (self.miniature, self.tsv, self.lm_eval)) != 1:
            raise ValueError("give exactly one of miniature, tsv and lm_eval")
        return self


class Definition(BaseModel):
    """Describe one benchmark.

    Attributes:
        name: what studies and files call it.
        kind: which harness scores it.
        dataset: name of the TSV. VLMEvalKit chooses a VQA set's metric by it: "GQA" means exact match.
        dataset_class: VLMEvalKit's class, or `PlainVQADataset` (ImageVQADataset without its own request).
        metric: the metric that VLMEvalKit must use; checked before anything is scored. "native" is what
            the class's own `evaluate` computes.
        answers: what an answer looks like, for the extractor.
        judge: what compares an answer with the truth: `exact_matching`, or `rule` where VLMEvalKit would ask
            a language model and a deterministic rule stands in, or `model` where no rule can.
        stock_judge: what VLMEvalKit asks a language model for by default; "" for nothing.
        clusters: how questions form clusters that are right or wrong together: a column of the TSV, or a
            rule of benchmarks.questions.clusters. None: every question stands for itself.
        dev: true: its dev questions are asked too, although its axis is `other` (`selection.third_axis`).
        whole: the metric needs all questions, so the benchmark is neither split nor cut.
        max_new_tokens: limit of the answer's length; None leaves it to the engine's settings.
        n: number of questions. Figures named in `unverified` were not checked on the published file.
        download_mb: size of the TSV in megabytes.
        sha256: digest of the data per "<split>-<questions>-seed<seed>", for a TSV under "tsv"; checked where
            it is given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    name: str = Field(pattern=NAME)
    title: str = Field(pattern=WORDS)
    axis: Axis
    group: str = Field(pattern=WORDS)
    kind: Literal["vlmevalkit", "lm_eval"] = "vlmevalkit"
    dataset: str = Field(pattern=NAME)
    dataset_class: str = Field(alias="class")
    metric: Metric
    answers: AnswerForm = "text"
    judge: Literal["exact_matching", "rule", "model"] = "exact_matching"
    stock_judge: str = ""
    clusters: str | None = None
    dev: bool = Field(False, exclude_if=lambda value: not value)  # digests are older than this
    whole: bool = False
    max_new_tokens: int | None = Field(default=None, ge=1)
    version: int = Field(default=1, ge=1)
    source: Source
    sha256: dict[str, str] = {}
    n: int | None = None
    licence: str = "unknown"
    download_mb: float | None = None
    unverified: tuple[str, ...] = ()
    notes: str = ""

    def __hash__(self) -> int:
        return hash((self.name, self.dataset, self.dataset_class))

    @property
    def on_dev(self) -> bool:
        """Whether its dev questions are asked: its axis counts, or it is to, and it can be split."""
        return (self.axis in ("perception", "reasoning") or self.dev) and not self.whole
