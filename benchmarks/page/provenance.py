"""Collect the chain behind a study's numbers: what every file was made from, by hash."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.answering.keys import get_provenance_path
from benchmarks.questions.reading import MANIFEST
from benchmarks.study.config import StudyConfig
from benchmarks.study.layout import Layout
from frism.files import read_json, sha256_file

VERIFIED = "verified.json"  # in a results folder: what `frism verify` said of it, and when
RECORDED = ("code", "python", "packages")  # what a study's record says of the environment


def collect_chain(results: Path, study: StudyConfig) -> dict[str, Any]:
    """Collect the chain from tables down to checkpoints. Raises UserError for a file that is broken.

    Files that are absent are left out: a study without them has no such link.
    """
    layout = Layout(results)
    record = read_json(layout.record)
    files = _Hashes(results)
    verified = results / VERIFIED
    return {
        "results": f"results/{study.study}",
        "record": files.find(layout.record),
        "run": {**{name: record.get(name) for name in RECORDED}, "machine": _describe_machine(record)},
        "config": study.model_dump(mode="json", exclude_defaults=False),
        "triple": {"sources": study.triple.model_dump(mode="json"), "scope": study.scope},
        "items": _describe_items(layout, files),
        "variants": {name: _describe_variant(layout, study, name, files) for name in study.variants},
        "models": {o: _describe_text(layout, o, files) for o in study.owners if o not in study.variants},
        "tables": {path.stem: files.find(path) for path in sorted((results / "tables").glob("*.csv"))},
        "summary": files.find(results / "summary.md"),
        "answers": files.find(results / "questions.parquet"),
        "verified": read_json(verified) if verified.exists() else None,
    }


def _describe_machine(record: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the kind of machine, without its kernel's name."""
    machine = record.get("machine") or {}
    return {**machine, "system": str(machine.get("system", "")).partition("-")[0]} if machine else {}


class _Hashes:
    """Hashes files, each once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[Path, dict[str, str]] = {}

    def find(self, path: Path) -> dict[str, str] | None:
        """Describe a file by its name below the results folder and its sha256; None where it is absent."""
        if path not in self._known:
            if not path.is_file():
                return None
            name = path.relative_to(self._root).as_posix()
            self._known[path] = {"file": name, "sha256": sha256_file(path)}
        return self._known[path]


def _describe_items(layout: Layout, files: _Hashes) -> dict[str, Any]:
    manifest = layout.items() / MANIFEST
    content = read_json(manifest) if manifest.exists() else {}
    return {
        "manifest": files.find(manifest),
        "vlmevalkit": content.get("vlmeval"),
        "data": content.get("data", {}),
        "tables": content.get("tsv", {}),
        "shared": content.get("shared", {}),
    }


def _describe_variant(layout: Layout, study: StudyConfig, name: str, files: _Hashes) -> dict[str, Any]:
    folder, scores = layout.variant(name), layout.root / "scores" / f"{name}.csv"
    items = layout.items(name if study.variants[name].needs_own_items else None) / MANIFEST
    recipe = read_json(folder / "recipe.json") if (folder / "recipe.json").exists() else {}
    predictions = files.find(layout.predictions(name))
    made = _read(get_provenance_path(layout.predictions(name)))
    scored = _read(scores.with_suffix(".provenance.json"))
    return {
        "scores": files.find(scores),
        "predictions": predictions,
        "items": files.find(items),
        "recipe": files.find(folder / "recipe.json"),
        "coefficients": files.find(folder / "coefficients.safetensors"),
        "scored": {k: v for k, v in scored.items() if k not in ("predictions", "items", "version")},
        "answered": {k: v for k, v in made.items() if k in ("origin", "engine")},
        "code": recipe.get("code"),
        "triple": recipe.get("triple", {}),
        "links": _check(
            ("scores were made from these predictions", scored.get("predictions"), predictions),
            ("scores were made from these questions", scored.get("items"), files.find(items)),
        )
        + _check_weights(recipe, made),
        "text": _describe_text(layout, name, files) if study.text else None,
    }


def _describe_text(layout: Layout, owner: str, files: _Hashes) -> dict[str, Any]:
    scored = _read(layout.text(owner).with_suffix(".provenance.json"))
    made = _read(get_provenance_path(layout.predictions(owner, "text")))
    predictions = files.find(layout.predictions(owner, "text"))
    return {
        "scores": files.find(layout.text(owner)),
        "predictions": predictions,
        "scored": {k: v for k, v in scored.items() if k != "predictions"},
        "answered": {k: v for k, v in made.items() if k in ("origin", "engine")},
        "links": _check(("scores were made from these predictions", scored.get("predictions"), predictions)),
    }


def _check(*links: tuple[str, str | None, Mapping[str, str] | None]) -> list[dict[str, Any]]:
    """Compare what a file records of its input with the input's sha256 now."""
    return [
        {"what": what, "recorded": recorded, "found": found["sha256"], "holds": recorded == found["sha256"]}
        for what, recorded, found in links
        if recorded is not None and found is not None
    ]


def _check_weights(recipe: Mapping[str, Any], made: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compare the weights that a recipe names with those that its answers were made with."""
    recorded, found = recipe.get("triple"), made.get("origin", {}).get("triple")
    if not recorded or not found:
        return []
    return [
        {"what": f"answers were made with this recipe's {role}", "recorded": digest, "found": found.get(role),
         "holds": digest == found.get(role)}
        for role, digest in recorded.items()
    ]  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}
