"""Texts of models and data sets in what readers open: Markdown, front matter, tables, the terminal."""

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from benchmarks.registry.lookup import find
from benchmarks.tables.cells import Column, Table, write_table
from frism.errors import UserError
from frism.markdown import escape_cell, escape_html, escape_text, format_scalar, quote_code
from frism.merging.export import Job, export
from frism.method.discovery import find as find_method
from frism.triples.triple import Triple
from tests.bad_input.conftest import Refusal, Try, attempt
from tests.bad_input.damage import HOSTILE, texts

RENDERER = MarkdownIt("commonmark", {"html": True}).enable("table")
MARKUP = [*HOSTILE, "<b", "<!--", "<?php", "</td>", "<a href='javascript:alert(1)'>x</a>",
"![x](http://x/y.png)", "[x]: http://y",
          "a\n\n# Heading", "---", "***", "___", "~~~", "```", "# h", "> q", "- i", "1. i", "=====",
          "a | b", "\\", "`", "``", "<http://x>", "&lt;script&gt;",
          "| a |\n|---|\n| b |", "{{ config }}", "--- \nlicense: mit"]  # fmt: skip
words = st.sampled_from(MARKUP) | texts | st.lists(st.sampled_from(MARKUP), max_size=3).map(" ".join)


class Tags(HTMLParser):
    """The elements of a page, the text between them, and where its links lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.odd: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        self.links += [str(value) for name, value in attributes if name in ("href", "src")]
        self.odd += [name for name, _ in attributes if name.startswith("on")]

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        self.odd.append(data)

    def handle_pi(self, data):
        self.odd.append(data)


def render(markdown: str) -> Tags:
    return Tags(RENDERER.render(markdown))


def test_no_text_is_markup(try_cases: Try) -> None:
    """Rendered by a real parser: words stay words, cells stay cells, code stays code."""

    def check(text: str) -> None:
        for escaped, allowed in (
            (escape_text(text), {"p", "em", "strong", "hr"}),
            (f"before {escape_text(text)} after", {"p", "em", "strong"}),
            (f"a {quote_code(text)} b", {"p", "code"}),
        ):
            page = render(escaped)
            assert set(page.elements) <= allowed, (text, escaped, page.elements)
            assert not page.links and not page.odd
        cell = render(f"| a | b |\n|---|---|\n| {escape_cell(text)} | z |\n")
        assert cell.elements.count("td") == 2 and cell.elements.count("tr") == 2, (text, escape_cell(text))
        assert not {"a", "img", "script", "h1", "b"} & set(cell.elements) and not cell.odd
        page = render(escape_html(text.replace("\n", " ")))
        assert not {"a", "img", "script", "b"} & set(page.elements) and not page.odd, (text, page.elements)
        assert (
            yaml.safe_load(f"a: {format_scalar(text)}\nb: 1\n") == {"a": text, "b": 1}
            or not text.isprintable()
        )

    try_cases(words, check, few=60)


@pytest.mark.parametrize(
    "text",
    ["mini_total", "Qwen/Qwen2.5-VL-7B", "strength=0.5, alpha=0.1", "0.512 [0.470, 0.554]", "p <0.001"],
)
def test_ordinary_words_stay_as_they_are(text: str) -> None:
    assert escape_cell(text) == escape_html(text) == text
    if "[" not in text:
        assert escape_text(text) == text


def test_a_table_keeps_its_cells(try_cases: Try, tmp_path: Path) -> None:
    columns = [Column("variant", "name"), Column("mark", "mark"), Column("answer", "answer")]

    def check(row: list[str]) -> None:
        table = Table(pd.DataFrame([row, ["v", "yes", "z"]], columns=[c.name for c in columns]), columns)
        write_table(table, tmp_path, "t", "Title", "Legend.")
        page = render((tmp_path / "t.md").read_text(encoding="utf-8"))
        assert page.elements.count("td") == 6 and page.elements.count("tr") == 3
        assert not {"a", "img", "script"} & set(page.elements) and not page.odd

    encodable = words.filter(lambda text: "\ud800" not in text)
    try_cases(st.lists(encodable, min_size=3, max_size=3), check, few=20)


FOLDERS = [
    text
    for text in MARKUP
    if text.strip(" .~") and "/" not in text and "\0" not in text and len(text) < 200 and "\ud800" not in text
]


@pytest.mark.parametrize("number", range(0, len(FOLDERS), 6))
def test_a_card_shows_hostile_names_and_licences_as_text(
    number: int, triple_folders: dict[str, Path], tmp_path: Path
) -> None:
    """Folder names, licences in READMEs and LICENSE files, the name of the merge itself."""
    names = [FOLDERS[(number + place) % len(FOLDERS)] for place in range(4)]
    folders = {
        role: tmp_path / f"{place}{name}"
        for place, (role, name) in enumerate(zip(triple_folders, names, strict=False))
    }
    for role, folder in folders.items():
        shutil.copytree(triple_folders[role], folder)
    (folders["vlm"] / "README.md").write_text(
        f"---\n{yaml.safe_dump({'license': names[0]})}---\n", encoding="utf-8"
    )
    (folders["lrm"] / "LICENSE").write_text(f"{names[1]}\n", encoding="utf-8")
    triple, out = Triple.open(**folders), tmp_path / f"out{names[3]}"
    export(Job(triple, "inject", find_method("inject").validate({}), "mat", out))
    card = (out / "README.md").read_text(encoding="utf-8")
    head, body = card.split("\n---\n", 1)
    told = yaml.safe_load(head.removeprefix("---\n"))
    assert told["base_model"] == [folders[role].name for role in ("vlm", "lrm", "base")]
    assert set(told) <= {
        "license",
        "base_model",
        "base_model_relation",
        "library_name",
        "pipeline_tag",
        "tags",
    }
    page = render(body)
    assert set(page.elements) <= {
        "h1",
        "h2",
        "p",
        "strong",
        "em",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "code",
        "pre",
        "ul",
        "li",
    }
    assert page.elements.count("h1") == 1 and page.elements.count("table") == 3
    assert not page.links and not page.odd


@pytest.mark.parametrize("text", MARKUP)
def test_a_group_of_benchmarks_is_words(text: str) -> None:
    """It becomes a heading of tables and figures."""
    found = attempt(lambda: find({"name": "mini_number", "group": text}), "mini_number")
    if not isinstance(found, Refusal):
        assert not render(found.group).links and "<" not in found.group and "\n" not in found.group


@pytest.mark.parametrize("text", HOSTILE)
def test_a_terminal_gets_a_line_of_text(text: str) -> None:
    assert str(UserError(f"{text}: is wrong.")).isprintable()
