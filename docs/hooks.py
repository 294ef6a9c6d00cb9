"""Add pages that live elsewhere in the repository to the documentation site, and point links at them.

README, CHANGELOG and the reference results are read on the code host as well, so they stay where they are and
their links are written for there. mkdocs calls `on_files` and `on_page_markdown`.
"""

import csv
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = "results/reference"
COST = "on the miniature, fitted and chosen in"
COSTS = f"{REFERENCE}/miniature_field/costs.csv"
PAGES = {  # file of the repository: page of the site
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "LICENSE": "LICENSE.txt",
    "CITATION.cff": "CITATION.cff",
    "config/README.md": "configs.md",
    "benchmarks/miniature/weights/README.md": "miniature.md",
    "results/reference/population_models/README.md": "population_card.md",
}
LINK = re.compile(r"(?<=\]\()(?![a-z]+:)([^)#\s]+)(?=[)#])")
METHODS = re.compile(r"<!-- the output of `frism methods --markdown([a-z_0-9 ]*)` -->")


AUDIT = "results/miniature/page"  # the site's audit page, whose data are committed with the reference
FRONT = "benchmarks/page"


def site_pages() -> dict[str, str]:
    """Return the site's place of every repository file that the site takes in, `docs/` apart."""
    results = (
        path.relative_to(ROOT).as_posix()
        for study in ("miniature", "miniature_field", "miniature_full", "population")
        for path in sorted((ROOT / REFERENCE / study).rglob("*.*"))
        if path.suffix != ".zip"  # archives of studies, for `frism across`
    )
    return PAGES | {name: name.replace(REFERENCE, "results") for name in results}


def audit_files() -> dict[str, str]:
    """Return what makes an audit page of its committed data: place by file.

    The front end and its libraries, and the reference's tables and figures.
    """
    found = {}
    for path in sorted([*(ROOT / FRONT / "front").iterdir(), *(ROOT / FRONT / "vendor").iterdir()]):
        name = path.relative_to(ROOT / FRONT).as_posix()
        found[f"{AUDIT}/{'index.html' if path.name == 'index.html' else name}"] = path
    for folder, suffix in (("tables", "csv"), ("figures", "png")):
        for path in sorted((ROOT / REFERENCE / "miniature" / folder).glob(f"*.{suffix}")):
            found[f"{AUDIT}/files/miniature/{folder}/{path.name}"] = path
    return {place: str(path) for place, path in found.items()}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of `site_pages` to the site, and the audit page of the miniature."""
    for name, place in site_pages().items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    for place, path in audit_files().items():
        files.append(File.generated(config, place, abs_src_path=path))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages; fill in the table of methods."""
    sources = {place: name for name, place in site_pages().items()}
    place = page.file.src_uri
    here = dirname(sources.get(place, f"docs/{place}"))
    pages = site_pages()

    def replace(match: re.Match[str]) -> str:
        target = normpath(join(here, match[1]))
        there = pages.get(target) or target.removeprefix("docs/")
        return relpath(there, dirname(place) or ".")

    markdown = LINK.sub(replace, markdown)
    return METHODS.sub(lambda match: methods_table(match[1].split()), markdown)


def methods_table(names: list[str]) -> str:
    """Return what `frism methods --markdown` prints of some methods. Raises PluginError when it fails."""
    command = [sys.executable, "-m", "frism", "methods", "--markdown", *names]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        raise PluginError(f"`frism methods --markdown` failed: {run.stderr.strip()}")
    costs = ROOT / COSTS
    return add_costs(run.stdout, read_costs(costs)) if costs.is_file() else run.stdout


def read_costs(path: Path) -> dict[str, str]:
    """Read what each variant of the field took on the miniature: choosing on dev, fits included."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {row["variant"]: f"{float(row['tune_seconds']):.0f} s" for row in rows if row["tune_seconds"]}


def add_costs(text: str, costs: Mapping[str, str]) -> str:
    """Add a column to the table of methods that a text begins with: the cost of the variant of that name."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if not line.startswith("|"):
            break
        name = line.split("|")[1].strip().strip("`")
        lines[number] += "---|" if number == 1 else f" {costs.get(name, '-') if number else COST} |"
    return "\n".join(lines) + "\n"
