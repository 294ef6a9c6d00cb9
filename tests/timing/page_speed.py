"""How quick the audit page is: python tests/timing/page_speed.py [--variants 50 --questions 1000]

Makes a study up (minutes), writes its page in a process of its own, and opens it in Chromium from the disk:
  page         seconds and peak memory of writing it, and its size
  first view   from the navigation to the trade-off with its points, in a fresh browser; and its bytes
  filters      from the change of a control to the new list and question, for every kind of filter
  questions    from a key press to a question whose texts were not loaded before
Medians, and the slowest, of several tries. The bounds of the issue that asked for the page: 60 s and
2 GiB, 2 s and 3 MB, 300 ms, 500 ms.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.page.site import write_page
from tests.support.browsers import find_chromium, open_browser, wait_until

SUITES = ["mini_number", "mini_color", "mini_place", "mini_existence", "mini_count", "mini_add",
          "mini_total", "mini_net", "mini_largest", "mini_conditional", "mini_total_unasked",
          "mini_net_unasked"]  # fmt: skip
TURN = "document.querySelector('.question-view').parentElement.dataset.turn"
WORDS = 45  # of an answer: some 250 characters


def make_study(folder: Path, variants: int, benchmarks: int, questions: int) -> Path:
    """Make the study up, unless it is there."""
    from tests.support.page_study import FEW, make_finished

    results = folder / "made_up"
    if not (results / "questions.parquet").exists():
        names = [*FEW, *(f"variant_{k}" for k in range(len(FEW), variants))][:variants]
        make_finished(folder, variants=names, benchmarks=SUITES[:benchmarks], n=questions, words=WORDS,
                      hostile=False)  # fmt: skip
    return results


def measure_writing(results: Path, page: Path) -> dict[str, float]:
    """Write the page in a process of its own."""
    start = time.monotonic()
    subprocess.run([sys.executable, __file__, "--write", str(results), str(page)], check=True)
    seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    size = sum(path.stat().st_size for path in page.rglob("*") if path.is_file())
    return {"seconds": round(seconds, 1), "peak GiB": round(peak, 2), "MB": round(size / 1e6, 1)}


def measure_first_view(address: str, tries: int = 5) -> dict[str, Any]:
    """Open the page in fresh browsers."""
    seconds, sizes = [], []
    for _ in range(tries):
        with open_browser() as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            files: list[str] = []
            page.on("request", lambda request: files.append(request.url))  # noqa: B023
            start = time.perf_counter()
            page.goto(address)
            page.wait_for_selector("a.point")
            seconds.append(time.perf_counter() - start)
            paths = (Path(file.removeprefix("file://").partition("#")[0]) for file in files)
            sizes.append(sum(path.stat().st_size for path in paths))
    return {**summarise(seconds), "MB": round(max(sizes) / 1e6, 2)}


FILTERS = {
    "benchmark": ("Benchmark", "mini_net"), "variant": ("Variant A", "inject"),
    "relation": ("A against B", "lost"), "form": ("Form of A's answer", "unread"),
    "outcome": ("A is", "wrong"),
    "longer": ("A's answer longer than (tokens)", "20"), "text": ("Text", "orange"),
    "order": ("Order", "drawn"),
}  # fmt: skip


def measure_filters(address: str) -> dict[str, Any]:
    """Change every filter; the list and the question below must both be new."""
    found = {}
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        for name, (label, value) in FILTERS.items():
            times = []
            for _ in range(3):
                page.goto(f"{address}#/made_up/questions?a=frism&with=vlm")
                page.reload()
                page.wait_for_selector("main[data-ready] .question-row")
                control = page.get_by_label(label, exact=True)
                for first in (True, False):  # the first loads what it needs, the second has it
                    before = page.evaluate(
                        "document.querySelector('.question-view').parentElement.dataset.turn"
                    )
                    start = time.perf_counter()
                    if control.evaluate("e => e.tagName") == "SELECT":
                        options = control.evaluate("e => [...e.options].map(o => o.value)")
                        control.select_option(value if first else options[0])
                    else:
                        control.fill(value if first else "")
                    wait_until(page, f"turn => {TURN} !== turn", before)
                    times.append(time.perf_counter() - start)
            found[name] = summarise(times)
    return found


def measure_questions(address: str, tries: int = 12) -> dict[str, Any]:
    """Jump through the list, so that every question's texts are loaded anew."""
    times = []
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{address}#/made_up/questions?a=frism&with=vlm&order=drawn")
        page.wait_for_selector("main[data-ready] .question[data-key]")
        page.locator(".question-list").focus()
        for _ in range(tries):
            before = page.locator(".question").get_attribute("data-key")
            start = time.perf_counter()
            page.keyboard.press("ArrowDown")
            wait_until(page, "key => document.querySelector('.question').dataset.key !== key", before)
            times.append(time.perf_counter() - start)
    return summarise(times)


def summarise(seconds: list[float]) -> dict[str, float]:
    """Median and slowest, in milliseconds."""
    return {"median ms": round(1000 * statistics.median(seconds)), "slowest ms": round(1000 * max(seconds))}


def main() -> None:
    """Print every measurement as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variants", type=int, default=50)
    parser.add_argument("--benchmarks", type=int, default=12)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="where the study is made up and kept; default: for once")
    parser.add_argument("--write", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_page([options.write[0]], options.write[1])
        return
    if find_chromium() is None:
        sys.exit(
            "error: no Chromium is found: install Debian's chromium, or run `playwright install chromium`."
        )
    with tempfile.TemporaryDirectory() as once:
        folder = options.folder or Path(once)
        results = make_study(folder, options.variants, options.benchmarks, options.questions)
        report = {"page": measure_writing(results, folder / "page")}
        address = (folder / "page/index.html").resolve().as_uri()
        report["first view"] = measure_first_view(address)
        report["filters"] = measure_filters(address)
        report["questions"] = measure_questions(address)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
