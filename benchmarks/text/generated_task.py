"""Ask an lm-eval task the way reasoning models answer: one chat turn, free text, the answer extracted.

Data, prompt, gold answers and metric stay lm-eval's. Replaced are the few-shot examples, the stop words and
the budget of 256 tokens, which cut chains of thought; the patterns that look for an answer in the style of
the examples; and, for multiple choice, the comparison of log-likelihoods: the options are listed and a letter
is generated.
"""

import functools
import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lm_eval import utils as lm_eval_utils
from lm_eval.api.task import ConfigurableTask

from benchmarks.registry.definition import Definition
from benchmarks.scoring import extraction
from benchmarks.text import task_data
from frism.errors import UserError

BUDGET = 4096  # new tokens, where neither definition nor task says otherwise
EXTRACTED = "extracted"  # the name under which lm-eval keeps what our extractor found
UNANSWERED = "[unanswered]"  # stands for no answer; no metric takes it for one
STEPS = "Please reason step by step, and put your final answer within \\boxed{}."
LETTER = "Please reason step by step, and put only the letter of your answer within \\boxed{}."
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# lm-eval compiles templates anew for every question, ten times over: a quarter of a small model's time.
setattr(lm_eval_utils.env, "from_string", functools.lru_cache(lm_eval_utils.env.from_string))  # noqa: B010
_CUE = re.compile(r"\s*(?:Answer|A|Solution):\s*$")  # asks a base model to go on


class GeneratedTask(ConfigurableTask):
    """One lm-eval task.

    Args:
        config: lm-eval's, as `benchmarks.text.task_configs.load_configs` returns it.
        definition: the benchmark; its `max_new_tokens` and `answers` go before the task's.
        questions: how many to draw (None: all). seed: of the draw.
        mirror: the folder that stands for the hub; None for the hub's cache.

    Attributes:
        files: sha256 of the data files, by their path in the mirror.
        extracted: per question (its position among those drawn) the answer, or None, and the rule.

    Raises UserError when the data are missing or the task does not ask for an answer.
    """

    def __init__(
        self,
        name: str,
        config: dict[str, Any],
        definition: Definition,
        questions: int | None,
        seed: int,
        mirror: Path | None,
    ) -> None:
        self.definition, self.questions, self.seed, self.mirror = definition, questions, seed, mirror
        self.files: dict[str, str] = {}
        self.extracted: dict[int, tuple[str | None, str]] = {}
        kind = config.get("output_type", "generate_until")
        if kind not in ("generate_until", "multiple_choice"):
            raise UserError(
                f"lm-eval's task {name} asks for {kind.replace('_', ' ')}, not for an answer: choose another."
            )
        self.lettered = kind == "multiple_choice"
        metadata = config.get("metadata")
        self.metadata: dict[str, Any] = metadata if isinstance(metadata, dict) else {}
        self.budget = definition.max_new_tokens or int(self.metadata.get("max_new_tokens", BUDGET))
        matched = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
        super().__init__(
            config={
                **config,
                **({"metric_list": [matched], "process_results": None} if self.lettered else {}),
                "task": name,
                "output_type": "generate_until",
                "num_fewshot": 0,
                "fewshot_config": None,
                "fewshot_split": None,
                "gen_prefix": None,
                "repeats": 1,
                "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": self.budget},
                "metadata": {
                    **self.metadata, "benchmark": definition.name, "questions": questions, "seed": seed,
                },
            }
        )  # fmt: skip
        self.metric = str(self.metadata.get("metric") or next(iter(self._metric_fn_list)))

    @property
    def answers(self) -> extraction.Kind:
        """The kind of an answer, for the extractor."""
        kind: extraction.Kind = self.metadata.get("answers", self.definition.answers)
        return "option" if self.lettered else kind

    @property
    def split(self) -> str:
        """The split whose questions are asked."""
        split: str | None = self.config.test_split or self.config.validation_split
        if split is None:
            raise UserError(f"lm-eval's task {self.config.task} has neither test nor validation questions.")
        return split

    # --- data ---------------------------------------------------------------------------------------

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Load the questions: from the task's own function, the mirror or the hub's cache."""
        if callable(self.config.custom_dataset):
            if self.questions is None:
                raise UserError(
                    f"{self.definition.name} is generated on the fly: set questions.test to a number,"
                    " not `all`."
                )
            super().download(dataset_kwargs)
            return
        path, name = self.config.dataset_path, self.config.dataset_name
        questions, self.files = task_data.load_data(path, name, self.split, self.mirror, dataset_kwargs)
        self.dataset = {self.split: questions}

    @cached_property
    def eval_docs(self) -> Any:
        """The questions that are asked, in the data's order."""
        return self._all_docs.select(self.positions)

    @cached_property
    def _all_docs(self) -> Any:
        docs = self.dataset[self.split]
        return self.config.process_docs(docs) if self.config.process_docs is not None else docs

    @cached_property
    def positions(self) -> list[int]:
        """The positions in the data of the drawn questions, ascending: those of the smallest seeded hashes.

        Another task's questions do not change the draw, and a smaller draw is part of a larger one.
        """
        count = len(self._all_docs)
        if self.questions is None or count <= self.questions:
            return list(range(count))
        lots = sorted(range(count), key=lambda p: _digest_document(f"{self.seed}-{self.config.task}-{p}"))
        return sorted(lots[: self.questions])

    def keep(self, chosen: Sequence[int]) -> None:
        """Ask these of the drawn questions alone, by their positions among them."""
        self.positions = [self.positions[position] for position in chosen]
        del self.eval_docs  # worked out again when it is asked for

    def question(self, position: int) -> str:
        """Write a drawn question as the task puts it, without the request to reason."""
        doc = self.eval_docs[position]
        return str(ConfigurableTask.doc_to_text(self, doc))

    def index(self, position: int) -> str:
        """Name a drawn question within its benchmark by its position in the data."""
        made = callable(self.config.custom_dataset)
        index = str(self.eval_docs[position]["index"] if made else self.positions[position])
        return index if self.config.task == self.definition.name else f"{self.config.task}/{index}"

    def cluster(self, position: int) -> str:
        """Read the cluster of a drawn question, where the definition names a column of the data."""
        column = self.definition.clusters
        return str(self.eval_docs[position][column]) if column in self.eval_docs.features else ""

    def fewshot_docs(self) -> None:
        """Give no examples."""

    # --- prompt -------------------------------------------------------------------------------------

    def doc_to_text(self, doc: Any, doc_to_text: Any = None) -> str:
        """Write the user's turn: the task's question without a cue to go on, its options, and the request."""
        text = super().doc_to_text(doc, doc_to_text)
        if not isinstance(text, str):
            raise UserError(
                f"lm-eval's task {self.config.task} compares whole sentences instead of asking a question:"
                " choose another."
            )
        description = self.resolve_field(doc, self.config.description) or ""
        parts = [description.strip(), _CUE.sub("", text)]
        if self.lettered and not self._lists_its_options(doc, text):
            parts.append("\n".join(f"{letter}. {text}" for letter, text in self._options(doc).items()))
        parts.append(self.metadata.get("request", LETTER if self.lettered else STEPS))
        return "\n\n".join(part for part in parts if part)

    def doc_to_choice(self, doc: Any, doc_to_choice: Any = None) -> list[str]:
        """List the letters of the options."""
        return list(LETTERS[: len(super().doc_to_choice(doc, doc_to_choice))])

    def doc_to_target(self, doc: Any, doc_to_target: Any = None) -> Any:
        """Read the gold answer; for multiple choice the letters that are right."""
        target = super().doc_to_target(doc, doc_to_target)
        if not self.lettered:
            return target
        options = list(self._options(doc).values())
        return [self._letter(t, options) for t in (target if isinstance(target, list) else [target])]

    def _letter(self, target: Any, options: Sequence[str]) -> str:
        if isinstance(target, str) and target in options:
            return LETTERS[options.index(target)]
        if str(target).isdigit() and int(target) < len(options):
            return LETTERS[int(target)]
        if target in LETTERS[: len(options)]:
            return str(target)
        raise UserError(f"lm-eval's task {self.config.task}: {target!r} is none of the options {options}.")

    def _options(self, doc: Any) -> dict[str, str]:
        """Read the options by letter. Where the task's choices are letters themselves, texts are unknown."""
        return dict(zip(LETTERS, map(str, super().doc_to_choice(doc)), strict=False))

    def _lists_its_options(self, doc: Any, text: str) -> bool:
        options = self._options(doc)
        return list(options) == list(options.values()) or all(
            re.search(rf"\b{letter}[.):]\s*{re.escape(option.strip())}", text)
            for letter, option in options.items()
        )

    # --- answers ------------------------------------------------------------------------------------

    def apply_filters(self) -> None:
        """Apply lm-eval's own patterns to the raw text, and, under EXTRACTED, our extractor."""
        super().apply_filters()
        for instance in self.instances:
            options = self._options(instance.doc) if self.lettered else None
            answer, rule = extraction.extract(instance.resps[0], self.answers, options)
            self.extracted[instance.doc_id] = (answer, rule)
            form = self.metadata.get("present", "{}")
            instance.filtered_resps[EXTRACTED] = UNANSWERED if answer is None else form.replace("{}", answer)

    def process_results(self, doc: Any, results: Sequence[Any]) -> dict[str, Any]:
        """Compute the task's metrics of one answer."""
        if self.lettered:
            return {"exact_match": float(str(results[0]).strip() in self.doc_to_target(doc))}
        scores: dict[str, Any] = super().process_results(doc, results)
        return scores


def _digest_document(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
