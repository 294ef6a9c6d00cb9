"""Find the lm-eval task configs of a benchmark: a small YAML of ours, or the installed task.

A file `<name>.yaml` in this folder stands for the lm-eval task or benchmark of that name. Its `include` is
relative to lm-eval's own tasks, and its own keys replace those that it includes. Beyond lm-eval's keys, its
`metadata` may hold `request` (the sentence appended to every question), `present` (how an extracted answer,
put in for {}, is handed to the task's metric), `metric` (which of the task's metrics is the score), `answers`
(the extractor's kind, in place of the definition's) and `max_new_tokens` (where the definition has none).
"""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.registry.definition import Definition
from frism.errors import UserError, suggest

HERE = Path(__file__).parent
DESCRIBED = HERE / "described_scenes.yaml"
NAMED = re.compile(rb"^[\"']?(task|group)[\"']?:[ \t]*[\"']?([^\s\"'\[\],#]+)[\"']?[ \t\r]*$", re.MULTILINE)


def find_task_folder() -> Path:
    """Find where the installed lm-eval has its tasks. Raises UserError when lm-eval is missing."""
    spec = find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("lm-eval is not installed: pip install 'frism[text]'.")
    return Path(spec.submodule_search_locations[0]) / "tasks"


def find_own_file(definition: Definition) -> Path | None:
    """Find our YAML for a benchmark, if there is one: by the benchmark's name, else by its lm-eval task's."""
    if definition.kind != "lm_eval":
        return DESCRIBED
    names = (definition.name, get_task_name(definition))
    return next((path for name in names if (path := HERE / f"{name}.yaml").is_file()), None)


def get_task_name(definition: Definition) -> str:
    """Read the lm-eval task that a benchmark names."""
    source = definition.source.lm_eval
    return source.task if source is not None else definition.name


def load_configs(definition: Definition) -> dict[str, dict[str, Any]]:
    """Load lm-eval's config of every task of a benchmark: one, unless it names a group or a tag.

    Keys are the tasks' names; the only task of a benchmark goes by the benchmark's own. Raises UserError for
    a task that lm-eval does not have, or that is written in Python and so cannot be asked differently.
    """
    path = find_own_file(definition)
    if path is not None:
        return {definition.name: _merge_included(path)}
    from lm_eval.tasks._yaml_loader import load_yaml

    name = get_task_name(definition)
    by_task = {leaf: load_yaml(path) for leaf, path in _list_leaves(name).items()}
    for leaf, config in by_task.items():
        if "class" in config:
            raise UserError(
                f"benchmark {definition.name}: lm-eval's task {leaf} is written in Python: choose another."
            )
    return {definition.name: by_task[name]} if list(by_task) == [name] else by_task


def check_known(name: str) -> None:
    """Raise UserError unless lm-eval has a task, group or tag of that name."""
    _list_leaves(name)


def _merge_included(path: Path) -> dict[str, Any]:
    from lm_eval.tasks._yaml_loader import load_yaml

    config = load_yaml(path, recursive=False)
    included = config.pop("include", None)
    return {**(load_yaml(find_task_folder() / included) if included else {}), **config}


@cache
def _build_index() -> dict[str, Any]:
    from lm_eval.tasks._index import TaskIndex

    index: dict[str, Any] = TaskIndex.build([find_task_folder()])
    return index


def _list_leaves(name: str) -> dict[str, Path]:
    """List the files of the single tasks behind a task's, group's or tag's name, by task, sorted."""
    if (path := _get_single(name)) is not None:
        return {name: path}
    index = _build_index() if _is_mentioned(name) else {}
    if name not in index:
        known = {known for names in _list_named().values() for known in names}
        raise UserError(f"lm-eval has no task '{name}'.{suggest(name, sorted(known | index.keys()))}")
    waiting, leaves = [name], {}
    while waiting:
        entry = index.get(waiting.pop())
        if entry is None:
            continue
        if entry.kind.name == "TAG":
            waiting += entry.tags
        elif entry.kind.name == "GROUP":
            members = entry.cfg.get("task") or []
            members = [members] if isinstance(members, str) else members
            waiting += [m if isinstance(m, str) else m.get("task") or m.get("group") for m in members]
        else:
            leaves[entry.name] = entry.yaml_path
    return dict(sorted(leaves.items()))


def _get_single(name: str) -> Path | None:
    """Find the file that defines one task: a pass over the files takes half a second, lm-eval's index ten."""
    return _list_named().get(b"task", {}).get(name)


@cache
def _list_named() -> dict[bytes, dict[str, Path]]:
    """List what a line of a file names, the first file of each name: single tasks, and groups."""
    found: dict[bytes, dict[str, Path]] = {}
    for path in _list_files():
        for kind, name in NAMED.findall(path.read_bytes()):
            found.setdefault(kind, {}).setdefault(name.decode(), path)
    return found


def _is_mentioned(name: str) -> bool:
    """Say whether any file has the name in it: a group's or a tag's stands there, in one of several forms."""
    word = re.compile(rb"(?<![\w-])" + re.escape(name.encode()) + rb"(?![\w-])")
    return any(word.search(path.read_bytes()) for path in _list_files())


def _list_files() -> list[Path]:
    return sorted(find_task_folder().rglob("*.yaml"))
