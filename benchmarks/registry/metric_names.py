"""Name the metric that VLMEvalKit uses for a dataset, by the class that evaluates it and the dataset's name.

Definitions are filled from this table, and scoring finds its metric by it.
"""

from dataclasses import dataclass, field

from benchmarks.registry.definition import AnswerForm, Metric


@dataclass(frozen=True)
class EvaluatingClass:
    """Say how a class of VLMEvalKit scores.

    Attributes:
        metric: its metric where no word decides.
        answers: form of the answers. judge: what compares them, as in `Definition.judge`.
        by_word: the metric by the first of these words found in the dataset's name.
        ignores_case: whether the words are looked for in the name in lower case.
    """

    metric: Metric
    answers: AnswerForm = "text"
    judge: str = "exact_matching"
    by_word: dict[str, Metric] = field(default_factory=dict)
    ignores_case: bool = False

    def metric_of(self, dataset: str) -> Metric:
        """Return the metric of a dataset, by its name."""
        name = dataset.lower() if self.ignores_case else dataset
        return next((metric for word, metric in self.by_word.items() if word in name), self.metric)


NATIVE = EvaluatingClass("native")
_CLASSES: dict[str, EvaluatingClass] = {
    "ImageMCQDataset": EvaluatingClass(
        "option", "option", by_word=dict.fromkeys(("mmbench", "ccbench", "circular", "mmcr"), "circular"),
        ignores_case=True,
    ),
    "ImageYORNDataset": EvaluatingClass(
        "yes_no", "yes_no", by_word={"MME": "mme", "Hallusion": "hallusionbench"}
    ),
    "ImageVQADataset": EvaluatingClass(
        "vqa_score",
        by_word={"TextVQA": "vqa_score", "ChartQA": "relaxed_accuracy", "OCRVQA": "accuracy",
                 "GQA": "accuracy", "DocVQA": "anls", "InfoVQA": "anls"},
    ),
    "OCRBench": EvaluatingClass("ocrbench"),
    "MathVista": EvaluatingClass("mathvista", "number", "rule"),
    "MathVision": EvaluatingClass("mathvision", "number", "rule"),
    "MathVerse": EvaluatingClass("mathverse", "number", "rule"),
    "LogicVista": EvaluatingClass("logicvista", "options", "rule"),
    "Dynamath": EvaluatingClass("dynamath", "json", "rule"),
    "WeMath": EvaluatingClass("wemath", "option", "rule"),
}  # fmt: skip


def evaluating_class(name: str) -> EvaluatingClass:
    """Return the rules of a class, by its name; a class without any computes its own score ("native")."""
    return _CLASSES.get(name, NATIVE)
