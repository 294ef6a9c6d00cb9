"""Match predictions to the questions, or samples of them, that they answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.answering import predictions as prediction_files
from benchmarks.questions.item import Item
from frism.errors import UserError


def match_predictions(
    items: Mapping[str, Sequence[Item]], lines: Sequence[prediction_files.StoredPrediction], path: Path
) -> dict[str, list[prediction_files.StoredPrediction]]:
    """Return every item's prediction. Raises UserError for one missing, doubled or of another item."""
    by_question: dict[tuple[str, str, int | None], prediction_files.StoredPrediction] = {}
    for line in lines:
        if by_question.setdefault((line.benchmark, line.index, line.sample), line) is not line:
            raise UserError(f"{path} answers question {line.index} of {line.benchmark} twice: predict again.")
    result: dict[str, list[prediction_files.StoredPrediction]] = {}
    for name, questions in items.items():
        result[name] = []
        for item in questions:
            if (name, item.index, item.sample) not in by_question:
                answer = "the answer" if item.sample is None else f"answer {item.sample}"
                raise UserError(
                    f"{path} lacks {answer} to question {item.index} of {name}: run"
                    " python -m benchmarks.stages.predict first."
                )
            line = by_question[name, item.index, item.sample]
            if line.item != item.content:
                raise UserError(
                    f"{path} answers a question {item.index} of {name} that differs from the one in"
                    f" {item.folder}: run python -m benchmarks.stages.predict again."
                )
            result[name].append(line)
    return result
