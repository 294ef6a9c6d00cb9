"""Write again what the text tasks of a study asked: the user's turn of every question, without a model."""

from pathlib import Path

from benchmarks.registry.lookup import find
from benchmarks.study.config import StudyConfig
from benchmarks.text.tasks import make_tasks


def list_prompts(study: StudyConfig) -> dict[str, dict[str, str]]:
    """List the user's turns by benchmark and index. Raises UserError when a task's data are missing."""
    number = None if study.questions.text == "all" else study.questions.text
    mirror = Path(study.data.folder) if study.data.folder else None
    found: dict[str, dict[str, str]] = {}
    for task in make_tasks([find(entry) for entry in study.text], number, study.seed, mirror).values():
        prompts = found.setdefault(task.definition.name, {})
        for position in range(len(task.positions)):
            prompts[task.index(position)] = task.doc_to_text(task.eval_docs[position])
    return found
