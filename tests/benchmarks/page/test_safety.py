"""No text of a model or data set runs, in any view; the policy forbids what would let it."""

import re
import subprocess
import sys
import urllib.error
import urllib.request

import pandas as pd
import pytest

from benchmarks.page import site
from benchmarks.page.serving import POLICY
from benchmarks.page.shards import format_shard, parse_shard
from tests.benchmarks.page.conftest import locate
from tests.support.browsers import go
from tests.support.page_study import HOSTILE

FRONT = sorted(site.FRONT.glob("*.js"))
# What turns texts into markup or code.
SINKS = (
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|\.html\("
    r"|setTimeout\(['\"]"
)


def test_the_front_end_never_parses_texts_as_markup():
    assert len(FRONT) > 8
    for path in FRONT:
        assert not re.search(SINKS, path.read_text()), path


def test_the_policy_allows_no_inline_script_nor_style():
    index = (site.FRONT / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', index)[1]
    assert policy in POLICY
    assert "unsafe" not in policy and "default-src 'none'" in policy
    assert not re.search(r"<script>|<style|\son\w+=|style=", index)


def test_libraries_have_their_licences():
    for path in site.VENDOR.glob("*.js"):
        licence = site.VENDOR / f"{path.name.split('.')[0]}.LICENSE.txt"
        assert len(licence.read_text()) > 300, path


def test_hostile_questions_are_shown_and_do_not_run(open_view, made):
    """The fixture checks that nothing ran, and that the browser refused nothing either."""
    scores = pd.read_csv(made.results / "scores/frism.csv", keep_default_na=False)
    raw = scores.query("benchmark == 'mini_total'")["raw"]
    page = open_view("questions", b="mini_total", a="frism", **{"with": "vlm"})
    for k, text in enumerate(HOSTILE):
        go(page, locate("questions", b="mini_total", k=f"mini_total/{k}", a="frism", **{"with": "vlm"}))
        page.wait_for_selector(f".question[data-key='mini_total/{k}']")
        assert page.locator(".answer pre.raw").first.text_content() == raw.iloc[k]
        assert page.locator(".gold strong").text_content() == text
        assert page.locator(".answer mark").first.text_content() == text
        page.locator(".question td details summary").first.click()
        assert page.evaluate("document.querySelectorAll('main script, main iframe').length") == 0


def test_hostile_cells_of_tables_do_not_run(open_view):
    page = open_view("findings", table="flips")
    assert "<script>" in page.locator("main").inner_text()


def test_hostile_addresses_do_not_run(open_view):
    page = open_view("questions")
    for text in HOSTILE:
        for view in ("questions", "trade-off", "compare", "variant", "findings", "provenance"):
            names = ("b", "a", "c", "q", "k", "rule", "x", "variant", "key", "table", "sel")
            go(page, locate(view, **dict.fromkeys(names, text)))
            assert page.locator("main .fault").count() == 0


def test_a_picture_that_is_a_program_is_left_out(open_view, made):
    assert {path.suffix for path in (made.page / "files/made_up/pictures").iterdir()} == {".png"}
    page = open_view("questions", k="mini_total/0", a="frism")
    assert "cannot be decoded" in page.locator(".prompt").inner_text()


def test_inline_scripts_are_refused(chromium, made):
    page = chromium.new_page()
    page.goto(made.address)
    page.wait_for_selector("main[data-ready]")
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 1';"
        " document.body.append(s); }"
    )
    assert page.evaluate("window.hacked") is None
    page.close()


def test_nothing_is_asked_of_the_network(chromium, made):
    page = chromium.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{made.address}#/made_up/questions")
    page.wait_for_selector("main[data-ready]")
    assert len(asked) > 10
    assert all(url.startswith(made.page.as_uri()) for url in asked)
    page.close()


def test_served_pages_have_careful_headers(served):
    with urllib.request.urlopen(served) as answer:
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    folder = served.removesuffix("index.html")
    for path in ("data/", "../study.json", "%2e%2e/study.json", "files/../../study.json"):
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(folder + path)


def test_view_serves_a_study_until_it_is_ended(made):
    command = [sys.executable, "-m", "benchmarks.tools.view", made.page, "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        address = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())[0]
        with urllib.request.urlopen(address) as answer:
            assert b"Audit page" in answer.read()
        server.terminate()


def test_shards_are_data_whatever_they_hold():
    value = {text: [text, {"__proto__": text}] for text in HOSTILE}
    content = format_shard("a/b", value)
    assert parse_shard(content) == ("a/b", value)
    assert b"<" not in content and content.count(b"\n") == 1
