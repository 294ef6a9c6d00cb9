"""Make the lm-eval tasks of a study's text benchmarks, for who asks them and who shows what was asked."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.registry.definition import Definition
from benchmarks.text import task_configs

if TYPE_CHECKING:  # lm-eval loads slowly
    from benchmarks.text.generated_task import GeneratedTask


def make_tasks(
    definitions: Sequence[Definition], questions: int | None, seed: int, mirror: Path | None
) -> "dict[str, GeneratedTask]":
    """Make the lm-eval tasks of some benchmarks, by name. Raises UserError for what cannot be asked."""
    from benchmarks.text.generated_task import GeneratedTask

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return {
        name: GeneratedTask(name, config, definition, questions, seed, mirror)
        for definition in definitions
        for name, config in task_configs.load_configs(definition).items()
    }
