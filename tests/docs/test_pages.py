"""What the pages claim about numbers, folders and files is so."""

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md",
         *sorted((ROOT / "docs").rglob("*.md"))]  # fmt: skip
NUMBER = r"[+-]?\d\.\d{3}"
INTERVAL = re.compile(rf"({NUMBER}) \[({NUMBER}), ({NUMBER})\]")
# R trained from seed 11: a side experiment without committed tables.
SIDE = {("-0.073", "-0.098", "-0.051"), ("+0.009", "+0.003", "+0.016")}
ROUNDED = 0.00056  # half of the last place that is shown, and the rounding of the table's own four places
MADE_UP = {
    "baselines/half_way.py",
    "baselines/balanced.py",
    "baselines/best_third.py",
    "config/my_study.yaml",
}


def intervals(text: str) -> set[tuple[str, str, str]]:
    return {(value, low, high) for value, low, high in INTERVAL.findall(text)}


def committed(*studies: str) -> list[tuple[float, float, float]]:
    """Every score and difference of committed studies with its interval."""
    found: list[tuple[float, float, float]] = []
    folders = [ROOT / f"results/reference/{study}/tables" for study in studies]
    for path in [path for folder in folders for path in sorted(folder.glob("*.csv"))]:
        table = pd.read_csv(path)
        for column in table.columns:
            bounds = (
                [column, f"{column}_low", f"{column}_high"] if column != "score" else ["score", "low", "high"]
            )
            if set(bounds) <= set(table.columns):
                found += [tuple(row) for row in table[bounds].dropna().astype(float).to_numpy()]
    return found


def is_in(value: tuple[str, ...], rows: list[tuple[float, float, float]]) -> bool:
    return any(all(abs(float(v) - r) < ROUNDED for v, r in zip(value, row, strict=False)) for row in rows)


@pytest.mark.parametrize(
    ("page", "studies", "apart", "least"),
    [
        ("README.md", ["miniature", "population"], SIDE, 13),
        ("docs/read_the_audit.md", ["miniature"], set(), 1),
        ("docs/frism.md", ["miniature_full"], set(), 6),
        ("docs/population.md", ["population"], set(), 6),
    ],
)
def test_numbers_are_those_of_the_committed_tables(page: str, studies: list, apart: set, least: int) -> None:
    """Values with an interval as a whole; a signed value alone as some score or difference."""
    text, rows = (ROOT / page).read_text(), committed(*studies)
    given = intervals(text)
    assert len(given) >= least and apart <= given
    assert not [value for value in given - apart if not is_in(value, rows)]
    alone = re.findall(r"[+-]\d\.\d{3}", INTERVAL.sub("", text))
    assert not [value for value in alone if not is_in((value,), rows)]


def test_the_populations_table_of_triples_is_that_of_its_effects() -> None:
    effects = pd.read_csv(ROOT / "results/reference/population/tables/effects.csv")
    rows = effects[(effects["against"] == "vlm") & (effects["measure"] == "test")].sort_values("study")
    rows = rows.set_index(["cell", "group", "variant"])["difference"]
    text = (ROOT / "docs/population.md").read_text()
    for cell in ("aligned/rehearsed", "aligned/forgetful", "turned/rehearsed", "turned/forgetful"):
        fields = [
            " ".join(f"{x:+.2f}".replace("0.", ".") for x in rows.loc[(cell, group, variant)])
            for group in ("reasoning", "perception", "short chains")
            for variant in ("inject", "frism")
        ]
        assert f"| {cell.replace('/', ' / ')} | {' | '.join(fields)} |" in text


def test_a_number_that_is_not_in_the_tables_is_found_out() -> None:
    rows = committed("miniature")
    assert is_in(("+0.396", "+0.364", "+0.428"), rows)
    assert not is_in(("+0.396", "+0.364", "+0.429"), rows)


def test_numbers_of_questions_are_those_of_the_committed_tables() -> None:
    axes = pd.read_csv(ROOT / "results/reference/miniature/tables/axes.csv")
    n = axes.drop_duplicates("group").set_index("group")["n"]
    head = README.partition("## Two commands")[0]
    for group in ("reasoning", "perception"):
        assert re.search(rf"{group}\s+n = {n[group]}\b", head)
    assert set(map(int, re.findall(r"n = (\d+)", README))) <= set(n)


def test_the_readme_fits_on_a_page() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= 9000


def test_architecture_lists_the_rooms_that_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    listed = re.findall(
        r"^\| `([\w/]+)` \| .+ \|$", text.partition("## Rooms")[2].partition("\n## ")[0], re.MULTILINE
    )
    rooms = {
        path.relative_to(ROOT).as_posix()
        for package in ("frism", "benchmarks", "workflow")
        for path in (ROOT / package).iterdir()
        if path.is_dir()
        and not path.name.startswith("_")
        and any(inner.name != "__pycache__" for inner in path.iterdir())
    }
    assert len(listed) == len(set(listed))
    assert set(listed) == rooms | {"baselines"}


def test_performance_names_every_timing_script_and_no_other() -> None:
    named = set(re.findall(r"`(?:tests/timing/)?(\w+\.py)`", (ROOT / "docs/performance.md").read_text()))
    assert named == {path.name for path in (ROOT / "tests/timing").glob("*.py")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = set(
        re.findall(r"`((?:frism|baselines|benchmarks|config|workflow|tests|docs)/[\w/.]+)`", page.read_text())
    )
    assert not [name for name in named - MADE_UP if not (ROOT / name).exists()]
