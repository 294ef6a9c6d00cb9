"""A real Chromium for tests: Debian's, or Playwright's own where that is installed."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 20.0  # that something may take on a busy machine
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "no Chromium is found: install Debian's (apt-get), or run `playwright install chromium`"


def find_chromium() -> str | None:
    """Find a browser that Playwright can drive; None without one, or without Playwright."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    for name in NAMES:
        if path := shutil.which(name):
            return path
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


@contextmanager
def open_browser() -> Iterator[Any]:
    """Start a browser. It has no sandbox of its own where it runs as root, as in containers."""
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_path(), args=options)
        try:
            yield browser
        finally:
            browser.close()


def find_path() -> str | None:
    """Find the system's browser; None leaves the choice to Playwright."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def wait_until(page: Any, expression: str, argument: object = None) -> float:
    """Wait until a JavaScript function gives something true; return the seconds since it was asked for.

    Playwright's own `wait_for_function` compiles texts in the page, which the page's policy forbids.
    """
    start = time.perf_counter()
    while not page.evaluate(expression, argument):
        if time.perf_counter() - start > SECONDS:
            raise AssertionError(f"not so within {SECONDS:.0f} s: {expression} ({argument})")
        page.wait_for_timeout(5)
    return time.perf_counter() - start


def go(page: Any, address: str) -> None:
    """Go to another address within the page, such as #/study/view, and wait until it is shown."""
    page.evaluate("hash => { location.hash = hash; }", address)
    wait_until(page, "hash => document.querySelector('main').dataset.ready === hash", address)
