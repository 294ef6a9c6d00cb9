"""The committed page of the miniature: the reference's numbers, small, and shown by the site."""

import csv
import sys
from pathlib import Path

import pytest

from benchmarks.page.shards import FORMAT, parse_shard
from tests.support.browsers import go

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "results/reference/miniature"
DATA = REFERENCE / "page/data/miniature"


def read(name: str):
    return parse_shard((DATA / f"{name}.js").read_bytes())[1]


def test_numbers_are_those_of_the_reference():
    study = read("study")
    assert study["format"] == FORMAT
    tables = {table["name"]: table for table in study["tables"]}
    committed = {path.stem: path for path in (REFERENCE / "tables").glob("*.csv")}
    assert set(committed) <= set(tables)
    for name, path in committed.items():
        with path.open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
        table = tables[name]
        cells = table.get("cells") or [
            row for part in range(table["parts"]) for row in read(f"tables/{name}.{part}")
        ]
        assert (table["columns"], cells) == (header, rows), name


def test_it_holds_six_hundred_questions_in_less_than_five_megabytes():
    study, size = read("study"), 0
    assert sum(one["n"] for one in study["benchmarks"]) == 600
    assert sum(one["of"] for one in study["benchmarks"]) == 6000
    for path in (REFERENCE / "page").rglob("*"):
        size += path.stat().st_size if path.is_file() else 0
    assert size < 5_000_000
    assert study["verified"]["holds"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The page as the documentation's hook puts it together."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import hooks
    finally:
        sys.path.remove(str(ROOT / "docs"))
    folder = tmp_path_factory.mktemp("site")
    pages = hooks.site_pages().items()
    files = {place: ROOT / name for name, place in pages if place.startswith(hooks.AUDIT)}
    files |= {place: Path(path) for place, path in hooks.audit_files().items()}
    for place, path in files.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    return folder / hooks.AUDIT


def test_the_site_shows_it(chromium, site):
    page = chromium.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
    page.goto((site / "index.html").as_uri())
    page.wait_for_selector("a.point")
    assert page.locator("a.point").count() == 16
    views = ("variant", "compare", "findings", "provenance", "marks", "questions?rel=lost&a=frism&with=vlm")
    for view in views:
        go(page, f"#/miniature/{view}")
        assert page.locator("main .fault").count() == 0
    page.locator(".prompt img").first.evaluate("i => i.decode()")
    assert "this page holds 600 of 6,000" in page.locator(".aside .count").inner_text()
    links = page.eval_on_selector_all("a[href^=files]", "all => all.map(a => a.getAttribute('href'))")
    assert links and all((site / link).exists() for link in links)
    page.close()
    assert not faults
