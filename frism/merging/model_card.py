"""Describe a merged checkpoint: a model card, a report on every tensor, a mergekit configuration."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from frism import __version__
from frism.documents import parse_yaml
from frism.errors import UserError
from frism.markdown import escape_cell, escape_html, escape_text, format_scalar, quote_code
from frism.merging.mergekit_config import format_mergekit_config
from frism.merging.sharding import Plan
from frism.merging.streaming import Change
from frism.method.discovery import find
from frism.method.fitted import Fitted
from frism.method.method import Method
from frism.method.recipe import COEFFICIENTS, RECORDS, Recipe
from frism.triples.accounting import tally
from frism.triples.triple import ROLES, Triple

TEMPLATE = Path(__file__).parent / "templates" / "model_card.md.jinja"
TITLES = {"base": "base language model (B)", "vlm": "receiver (V)", "lrm": "reasoning model (R)"}
NOT_STATED = "not stated"
LONGEST_CARD = 1 << 20  # characters of a card that are looked at for its metadata
MERGEKIT = "mergekit_config.yml"


@dataclass(frozen=True)
class Outcome:
    """Hold the result of a finished merge."""

    triple: Triple
    recipe: Recipe
    plan: Plan
    changes: Mapping[str, Change]  # by stored name
    dtype: str | None = None
    fitted: Fitted = field(default_factory=Fitted)
    warnings: Sequence[str] = ()

    @property
    def total(self) -> Change:
        """Norms over all merged tensors, and the largest single error of the cast."""
        values = self.changes.values()
        injected = sum(change.injected**2 for change in values) ** 0.5
        cast = sum(change.cast**2 for change in values) ** 0.5
        return Change(injected, cast, max((change.largest for change in values), default=0.0))

    @property
    def lost(self) -> float | None:
        """Norm of the cast's error relative to what was injected; None where nothing was."""
        total = self.total
        return total.cast / total.injected if total.injected else None

    def make_report(self) -> dict[str, Any]:
        """Report the fate of every tensor of V and what merging did to it, as plain JSON values."""
        tensors = {
            entry.stored: {"fate": entry.fate, "reason": entry.reason}
            | (asdict(self.changes[entry.stored]) if entry.stored in self.changes else {})
            for entry in self.plan.entries
        }
        total = asdict(self.total) | {"cast_relative_to_injected": self.lost}
        return {
            "frism": __version__, "warnings": list(self.warnings), "counts": self.plan.count_fates(),
            "total": total, "tensors": tensors,
        }  # fmt: skip


@dataclass(frozen=True)
class Parent:
    """Describe one of the three checkpoints, as a card names it."""

    title: str
    name: str
    revision: str | None
    licence: str
    digest: str


def write_card(outcome: Outcome, folder: Path, title: str) -> None:
    """Write README.md into a checkpoint's folder, and mergekit_config.yml among its records."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    environment.filters |= {
        "text": escape_text, "cell": escape_cell, "code": quote_code, "html": escape_html,
        "scalar": format_scalar, "string_literal": json.dumps,
    }  # fmt: skip
    recipe, plan, triple = outcome.recipe, outcome.plan, outcome.triple
    parents = {role: describe_parent(triple, role, recipe) for role in ROLES}
    method = find(recipe.method or "")
    config = format_mergekit_config(recipe, {role: parents[role].name for role in ROLES}, outcome.dtype)
    card = environment.get_template(TEMPLATE.name).render(
        title=title, recipe=recipe, method=method, parents=parents, tally=tally(plan.entries),
        counts=plan.count_fates(), total=outcome.total, lost=outcome.lost, dtype=outcome.dtype,
        text=triple.text_receiver, version=__version__, roles=ROLES,
        records=RECORDS, coefficients=COEFFICIENTS,
        command=format_command(recipe, bool(method.fit and method.missing_needs), outcome),
        warnings=outcome.warnings,
        notes=[*triple.describe_donors(), *(d.sentence for d in triple.differences() if not d.rotary)],
        tags=dict.fromkeys(("merge", "frism", recipe.name)),
        learning=describe_fitting(method, outcome.fitted),
    )  # fmt: skip
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / RECORDS).mkdir(exist_ok=True)
    (folder / RECORDS / MERGEKIT).write_text(config, encoding="utf-8")


def describe_fitting(method: Method, fitted: Fitted) -> str:
    """Describe where the merge's coefficients come from, to follow "by <method>, "."""
    if method.fit is None:
        return "without training"
    has_gates = any("open" in entries for entries in fitted.tensors.values())
    noun = "gates" if has_gates else "coefficients"
    if method.missing_needs:
        return f"with {noun} learned from {' and '.join(method.missing_needs)}"
    return f"with {noun} computed from the three checkpoints, without training"


def format_command(recipe: Recipe, from_study: bool, outcome: Outcome) -> str:
    """Format the command line that makes this folder again."""
    sources = "--vlm VLM --lrm LRM --base BASE"
    dtype = f" --dtype {outcome.dtype}" if outcome.dtype else ""
    receiver = " --text-receiver" if outcome.triple.text_receiver else ""
    if from_study:
        return f"frism export FOLDER_OF_THIS_RECIPE {sources}{receiver}{dtype} --out OUT"
    values = "".join(
        f" --set {shlex.quote(name + '=' + _format_value(value))}" for name, value in recipe.params.items()
    )
    method = shlex.quote(recipe.method or "")
    return (
        f"frism merge {sources}{receiver} --method {method}{values} --scope {recipe.scope} "
        f"--seed {recipe.seed}{dtype} --out OUT"
    )


def describe_parent(triple: Triple, role: str, recipe: Recipe) -> Parent:
    """Describe one checkpoint by its hub name or folder name, without the paths of this machine."""
    folder = triple.checkpoints[role].folder
    paths = (str(folder.absolute()), str(folder.resolve()))
    matches = (re.search(r"models--([^/]+)--([^/]+)/snapshots/([^/]+)$", path) for path in paths)
    hub = next(filter(None, matches), None)
    name, revision = (f"{hub[1]}/{hub[2]}", hub[3]) if hub else (folder.resolve().name, None)
    if name in ROLES:  # a folder named after its role does not name the model
        name = f"{folder.resolve().parent.name}/{name}"
    return Parent(TITLES[role], name, revision, read_licence(folder), recipe.triple[role])


def read_licence(folder: Path) -> str:
    """Read the licence from the metadata of a checkpoint's README, else the title of its LICENSE file."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")[:LONGEST_CARD]
    except (OSError, UnicodeDecodeError):
        text = ""
    if match := re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL):
        try:
            metadata = parse_yaml(match[1], folder / "README.md")
        except UserError:
            metadata = None
        if isinstance(metadata, dict) and metadata.get("license"):
            name = metadata.get("license_name")
            return f"{metadata['license']} ({name})" if name else str(metadata["license"])
    for path in sorted(folder.glob("LICEN[CS]E*")):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        if first := next((line.strip(" #\t") for line in lines if line.strip(" #\t")), ""):
            return f"{first} (its {path.name})"
    return NOT_STATED


def _format_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
