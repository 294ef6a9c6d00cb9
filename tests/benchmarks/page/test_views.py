"""Every view, link and download of the page, in a real Chromium, from the disk and over HTTP."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.page.reviewing import read_marks
from benchmarks.page.site import write_page
from benchmarks.page.table_files import FIRST
from frism.files import sha256_file
from tests.benchmarks.page.conftest import locate
from tests.support.browsers import go, wait_until

VIEWS = ["trade-off", "variant", "compare", "questions", "findings", "provenance", "marks"]
READ = """rows => rows.map(row => [Number(row.getAttribute('aria-rowindex')), Object.fromEntries(
    [...row.querySelectorAll('[data-col]')].map(cell => [cell.dataset.col, cell.textContent]))])"""


def read_csv(made, name: str) -> pd.DataFrame:
    return pd.read_csv(made.results / f"tables/{name}.csv", dtype=str, keep_default_na=False)


def read_scores(made, variant: str) -> pd.DataFrame:
    return pd.read_csv(made.results / f"scores/{variant}.csv", dtype={"index": str}, keep_default_na=False)


def read_rows(page, scope: str = "main") -> list[tuple[int, dict[str, str]]]:
    """The rows of tables in the document: place in the table, and texts by column."""
    return page.eval_on_selector_all(f"{scope} table.data tbody tr[aria-rowindex]", READ)


@pytest.mark.parametrize("way", ["disk", "http"])
def test_every_view_opens_at_every_width(open_view, served, way):
    page = open_view(address=served if way == "http" else None)
    for width in (360, 768, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        for view in VIEWS:
            go(page, locate(view))
            assert page.locator("main").get_attribute("data-view") == view
            assert page.locator("main h1").count() == 1
            assert page.locator("main .fault").count() == 0
            page.wait_for_timeout(30)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (view, width)


def test_every_cell_of_every_table_is_that_of_the_csv(open_view, made):
    """Read from the document, row by row; long tables by scrolling through them."""
    names = sorted(path.stem for path in (made.results / "tables").glob("*.csv"))
    assert set(FIRST) < set(names)
    page = open_view("findings")
    for name in names:
        expected = read_csv(made, name)
        go(page, locate("findings", table=name))
        found: dict[int, dict[str, str]] = {}
        for _ in range(100):
            found.update(dict(read_rows(page)))
            if len(found) >= len(expected):
                break
            page.locator("main .scroll").first.evaluate("e => { e.scrollTop += e.clientHeight * 0.8; }")
            page.wait_for_timeout(40)
        assert [found[k] for k in sorted(found)] == expected.to_dict("records"), name


def test_the_trade_off_has_every_variant_with_its_numbers(open_view, made):
    page = open_view("trade-off")
    axes = read_csv(made, "axes")
    labels = page.eval_on_selector_all("a.point", "points => points.map(p => p.getAttribute('aria-label'))")
    assert len(labels) == len(made.study.variants)
    for variant in made.study.variants:
        label = next(text for text in labels if text.startswith(f"{variant},"))
        for group in ("perception", "reasoning"):
            row = axes[(axes["variant"] == variant) & (axes["group"] == group)].iloc[0]
            assert f"{row['score']} [{row['low']}, {row['high']}], n = {row['n']}" in label
    pareto = read_csv(made, "pareto").set_index("variant")["front"]
    shown = page.eval_on_selector_all(
        "main table.data tbody tr", "rows => rows.map(r => [...r.cells].map(cell => cell.textContent))"
    )
    counts = axes.set_index(["variant", "group"])["n"]
    for _, name, _, _, n_perception, _, n_reasoning, _ in shown:
        assert (n_perception, n_reasoning) == (counts[name, "perception"], counts[name, "reasoning"])
    front = {row[1]: row[-1] == "yes" for row in shown}
    assert front == {name: pareto[name] == "yes" for name in made.study.variants}


def test_axes_of_the_trade_off_can_be_chosen_and_have_a_link(open_view, made):
    page = open_view("trade-off")
    page.get_by_label("Across").select_option("tokens:reasoning")
    wait_until(page, "() => document.querySelector('main').dataset.ready.includes('tokens')")
    row = read_csv(made, "tokens").query("group == 'reasoning' and variant == 'frism'").iloc[0]
    label = page.locator("a.point[aria-label^='frism,']").get_attribute("aria-label")
    assert f"{row['tokens']} [{row['tokens_low']}, {row['tokens_high']}]" in label
    go(page, locate("trade-off", x="tokens:reasoning", y="mini_total"))
    assert "mini_total" in page.locator("a.point").first.get_attribute("aria-label")


def test_sweeps_budget_and_selection(open_view, made):
    page = open_view("trade-off", sweeps="1")
    selection = read_csv(made, "selection")
    points = sum(len(own) for _, own in selection.groupby("variant") if len(own) > 1)
    page.wait_for_selector(".sweep circle")
    assert page.locator(".sweep circle").count() == points
    assert page.locator(".budget text").text_content() == "vlm − 0.02"
    for name in ("frism", "inject"):
        page.get_by_label(f"Select {name}", exact=True).check()
    rows = page.locator("section:last-of-type tbody tr").count()
    assert rows == read_csv(made, "axes")["group"].nunique() + len(made.study.benchmarks)
    page.get_by_role("link", name="Compare frism with inject").click()
    page.wait_for_selector("main[data-view=compare]")


def test_a_point_opens_its_variant(open_view):
    page = open_view("trade-off")
    page.locator("a.point[aria-label^='inject_late,']").click()
    page.wait_for_selector("main[data-view=variant]")
    assert page.get_by_label("Variant", exact=True).input_value() == "inject_late"


def test_a_variant_shows_its_recipe_scores_and_what_it_changed(open_view, made):
    page = open_view("variant", variant="frism")
    text = page.locator("main").inner_text()
    recipe = json.loads((made.results / "variants/frism/recipe.json").read_text())
    assert all(f"{name}=" in text for name in recipe["params"])
    rows = [cells for _, cells in read_rows(page)]
    for name in ("benchmarks", "axes", "style"):
        for row in read_csv(made, name).query("variant == 'frism'").to_dict("records"):
            assert any(row.items() - {("variant", "frism")} <= shown.items() for shown in rows), row
    norms = pd.read_csv(made.results / "variants/frism/norms.csv")
    layers = norms["tensor"].str.extract(r"layers\.(\d+)\.")[0].nunique()
    page.wait_for_selector("path.curve")
    assert page.locator("rect.bar-mark").count() == layers
    assert page.locator("path.curve").count() >= 5
    assert page.locator("table.heat-map td.heat").count() > layers


def test_any_pair_is_compared(open_view, made):
    """A pair that the tables compare has their numbers; any other one those of the scores."""
    page = open_view("compare", a="frism", **{"with": "vlm"})
    shown = [cells for _, cells in read_rows(page, "section:nth-of-type(2)")]
    told = ("difference", "difference_low", "difference_high", "gained", "lost", "p", "p_holm")
    for name in ("benchmarks", "axes"):
        for row in read_csv(made, name).query("variant == 'frism'").to_dict("records"):
            assert any(all(cells[c] == row[c] for c in told) for cells in shown), row
    go(page, locate("compare", a="inject_late", **{"with": "frism_uniform"}))
    one, other = read_scores(made, "inject_late"), read_scores(made, "frism_uniform")
    change = one["correct"] - other["correct"]
    for benchmark, own in change.groupby(one["benchmark"]):
        link = page.get_by_role("link", name=benchmark, exact=True)
        row = page.locator("section:nth-of-type(2) tbody tr", has=link)
        assert row.locator("[data-col=gained]").text_content() == str(int((own > 0).sum()))
        assert row.locator("[data-col=lost]").text_content() == str(int((own < 0).sum()))
        assert float(row.locator("[data-col=difference]").text_content()) == round(float(own.mean()), 4)


def test_flips_by_cluster_and_by_form(open_view, made):
    page = open_view("compare", a="frism", **{"with": "vlm"})
    a, b = read_scores(made, "frism"), read_scores(made, "vlm")
    change = a["correct"] - b["correct"]
    clustered = change[a["cluster"] != ""]
    flipped = clustered.groupby(a["cluster"]).agg(lambda c: bool((c != 0).any()))
    section = page.locator("section", has=page.get_by_role("heading", name="Clusters"))
    assert f"{int(flipped.sum())} of {len(flipped)} clusters" in section.inner_text()
    form = page.locator("section", has=page.get_by_role("heading", name="Form against content"))
    rows = [row.inner_text().split() for row in form.locator("tbody tr", has_text="mini_number").all()]
    own = a["benchmark"] == "mini_number"
    for flip, wrong, where in (("lost:", a, own & (change < 0)), ("gained:", b, own & (change > 0))):
        lost = wrong[where]
        of_form = (
            (lost["extracted"] == "")
            | lost["truncated"]
            | lost["repeated"]
            | (lost["correct_raw"] > lost["correct"])
        )
        (row,) = [row for row in rows if row[1] == flip] or [None]
        if row is not None:
            assert row[4:7] == [str(len(lost)), str(int(of_form.sum())), str(int((~of_form).sum()))]
    section.locator("tbody tr a").first.click()
    page.wait_for_selector("main[data-view=questions] .question-row")


def test_every_link_of_the_tables_leads_somewhere(open_view):
    page = open_view("findings", table="axes")
    links = page.eval_on_selector_all(
        "main table.data a", "all => [...new Set(all.map(a => a.getAttribute('href')))]"
    )
    links = [link for link in links if link.startswith("#")]
    assert len(links) > 20
    for link in links[:: max(1, len(links) // 20)]:
        go(page, link)
        assert page.locator("main .fault").count() == 0


def test_the_summary_is_there_in_words(open_view, made):
    page = open_view("findings")
    shown = re.sub(r"\s+", " ", page.locator(".words").inner_text())
    for line in (made.results / "summary.md").read_text().splitlines():
        if line and line[0].isalpha():
            plain = re.sub(r"[`*]|\]\([^)]*\)|\[(?=[^\]]*\]\()", "", line)
            assert re.sub(r"\s+", " ", plain).strip() in shown, line
    assert page.locator(".words figure img").count() >= 1


def test_the_chain_names_files_and_hashes_that_are_so(open_view, made):
    page = open_view("provenance", variant="frism", key="mini_net")
    text = page.locator("main").inner_text()
    for name in ("tables/benchmarks.csv", "scores/frism.csv", "predictions/frism.jsonl",
                 "variants/frism/recipe.json", "items/manifest.json", "study.json"):  # fmt: skip
        assert name in text and sha256_file(made.results / name) in text
    row = read_csv(made, "benchmarks").query("variant == 'frism' and benchmark == 'mini_net'").iloc[0]
    assert f"{row['score']} [{row['low']}, {row['high']}], n = {row['n']}" in text
    assert "✗" not in text and "✓ holds" in text and "frism verify has not been run" in text
    for command in page.locator(".command code").all_inner_texts():
        assert command.split()[0] in ("python", "frism", "snakemake")


def test_downloads_are_the_files(open_view, made, tmp_path: Path):
    page = open_view("provenance")
    for link in page.locator("a[download]").all():
        with page.expect_download() as waiting:
            link.click()
        name = waiting.value.suggested_filename
        waiting.value.save_as(tmp_path / name)
        source = made.results / name if name.startswith("questions") else made.results / "tables" / name
        assert (tmp_path / name).read_bytes() == source.read_bytes()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"questions.parquet", *(path.name for path in (made.results / "tables").glob("*.csv"))}
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download the config").click()
    config = json.loads(Path(waiting.value.path()).read_text())
    assert config["study"] == "made_up" and set(config["variants"]) == set(made.study.variants)


def test_marks_are_kept_exported_and_taken_back(open_view, tmp_path: Path):
    page = open_view("questions", k="mini_total/0", a="frism", **{"with": "vlm"})
    block = page.locator(".answer").first
    block.locator(".review summary").click()
    block.get_by_label("Your verdict").select_option("misread")
    block.get_by_label("What the answer says").fill("<b>ten</b>")
    block.get_by_label("Note").fill('"quoted" & odd')
    block.get_by_label("Note").press("Tab")
    go(page, locate("marks"))
    assert "mini_total 0" in page.locator("main").inner_text()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Export the marks").click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    (mark,) = read_marks(path).marks
    assert (mark.benchmark, mark.index, mark.variant, mark.verdict) == ("mini_total", "0", "frism", "misread")
    assert (mark.reading, mark.note) == ("<b>ten</b>", '"quoted" & odd')
    page.evaluate("localStorage.clear()")
    page.reload()
    page.wait_for_selector("main[data-view=marks]")
    assert "mini_total 0" not in page.locator("main").inner_text()
    page.get_by_label("Take marks from a file").set_input_files(path)
    page.wait_for_selector("text=mini_total 0")
    (tmp_path / "other.json").write_text('{"marks": []}')
    page.get_by_label("Take marks from a file").set_input_files(tmp_path / "other.json")
    page.wait_for_selector("text=holds no marks")
    go(page, locate("questions", a="frism", mark="marked"))
    assert page.locator(".aside .count").inner_text().startswith("1 of")


def test_a_page_that_lost_its_data_says_so(chromium, made, tmp_path: Path):
    copy = shutil.copytree(made.page, tmp_path / "page")
    (copy / "data/made_up/pairs/3.js").unlink()
    page = chromium.new_page()
    page.goto(f"{(copy / 'index.html').as_uri()}{locate('compare', a='frism')}")
    page.wait_for_selector("main .fault")
    assert "copy the whole folder of the page, or make it again" in page.locator("main").inner_text()
    shutil.rmtree(copy / "data")
    page.goto("about:blank")
    page.goto((copy / "index.html").as_uri())
    page.wait_for_selector("main .fault")
    page.close()


def test_several_studies_are_joined_with_what_was_made_of_them(open_view, made, tmp_path: Path):
    report = tmp_path / "across"
    (report / "tables").mkdir(parents=True)
    effects = "triple,effect,effect_low,effect_high\na,0.1,0.0,0.2\nb,-0.1,-0.2,-0.05\n"
    (report / "tables/effects.csv").write_text(effects)
    other = shutil.copytree(made.results, tmp_path / "copy")
    record = json.loads((other / "study.json").read_text())
    record["config"]["study"] = "another"
    (other / "study.json").write_text(json.dumps(record))
    index = write_page([made.results, other, report], tmp_path / "site")
    page = open_view("compare", address=index.as_uri(), a="frism")
    page.get_by_label("Study").select_option("another")
    wait_until(page, "() => document.querySelector('main').dataset.ready.startsWith('#/another/compare')")
    page.get_by_label("Study").select_option("across")
    page.wait_for_selector("main[data-view=findings]")
    go(page, "#/across/findings?table=effects")
    page.wait_for_selector("main .chart rect")
    assert page.locator("main .chart .shown").count() == 1 and page.locator("main .chart .open").count() == 1
