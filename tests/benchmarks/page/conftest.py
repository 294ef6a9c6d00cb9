"""A made-up study's page with hostile texts in it, and a real Chromium to open it with."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from benchmarks.page.serving import open_server
from benchmarks.page.site import write_page
from tests.support.browsers import MISSING, find_chromium, open_browser
from tests.support.page_study import make_finished

NAME = "made_up"


@dataclass(frozen=True)
class Made:
    """A finished study and its page."""

    results: Path
    study: Any
    page: Path

    @property
    def address(self) -> str:
        return (self.page / "index.html").as_uri()


def locate(view: str, **params: str) -> str:
    """The address of a view within the page of the made-up study."""
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in params.items())
    return f"#/{NAME}/{view}{'?' if query else ''}{query}"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    results, study = make_finished(folder)
    write_page([results], folder / "page")
    return Made(results, study, folder / "page")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    if find_chromium() is None:
        pytest.skip(MISSING)
    with open_browser() as browser:
        yield browser


@pytest.fixture
def open_view(chromium: Any, made: Made) -> Iterator[Callable[..., Any]]:
    """A function that opens a view; at the end nothing hostile ran and nothing failed."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    faults: list[str] = []
    pages: list[Any] = []

    def start(view: str = "", *, address: str | None = None, **params: str) -> Any:
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
        page.on("dialog", lambda dialog: faults.append(f"dialog {dialog.message}"))
        page.goto(f"{address or made.address}{locate(view, **params)}")
        page.wait_for_selector("main[data-ready]")
        pages.append(page)
        return page

    yield start
    hacked = [page.evaluate("window.hacked === undefined ? '' : location.href") for page in pages]
    context.close()
    assert not faults
    assert not any(hacked)


@pytest.fixture
def served(made: Made) -> Iterator[str]:
    """The page's address over HTTP, with a strict policy in the headers."""
    with open_server(made.page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/index.html"
        server.shutdown()
