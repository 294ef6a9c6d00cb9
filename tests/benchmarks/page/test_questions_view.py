"""The view of questions: every filter finds what the scores say, and a question shows all that there is."""

import json
import re

import pandas as pd

from tests.benchmarks.page.conftest import locate
from tests.support.browsers import go, wait_until


def read_scores(made, variant: str) -> pd.DataFrame:
    return pd.read_csv(made.results / f"scores/{variant}.csv", dtype={"index": str}, keep_default_na=False)


def read_items(made, benchmark: str) -> list[dict]:
    lines = (made.results / f"items/test/{benchmark}.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def count_shown(page) -> int:
    return int(re.match(r"([\d,]+) of", page.locator(".aside .count").inner_text())[1].replace(",", ""))


FILTERS = {
    "b=mini_net": lambda a, b: a["benchmark"] == "mini_net",
    "b=group:perception": lambda a, b: a["axis"] == "perception",
    "rel=gained": lambda a, b: a["correct"] > b["correct"],
    "rel=lost": lambda a, b: a["correct"] < b["correct"],
    "rel=flip": lambda a, b: a["correct"] != b["correct"],
    "rel=both": lambda a, b: (a["correct"] == 1) & (b["correct"] == 1),
    "rel=neither": lambda a, b: (a["correct"] == 0) & (b["correct"] == 0),
    "rel=words": lambda a, b: (a["correct"] == b["correct"]) & (a["extracted"] != b["extracted"]),
    "out=right": lambda a, b: a["correct"] == 1,
    "out=wrong": lambda a, b: a["correct"] < 1,
    "form=unread": lambda a, b: a["extracted"] == "",
    "form=truncated": lambda a, b: a["truncated"],
    "form=repeated": lambda a, b: a["repeated"],
    "longer=20": lambda a, b: a["tokens"] > 20,
    "rule=answer": lambda a, b: a["rule"] == "answer",
}


def test_filters_find_what_the_scores_say(open_view, made):
    """Text questions are among all, with the columns that they have."""
    page = open_view("questions")
    pairs = []
    for variant in ("frism", "vlm"):
        text = pd.read_csv(made.results / f"text/{variant}.csv", keep_default_na=False)
        text = text[text["benchmark"].isin(made.study.text_names)]
        more = {"truncated": False, "repeated": False, "rule": "", "axis": "text"}
        text = text.assign(benchmark="", **{name: value for name, value in more.items() if name not in text})
        pairs.append(pd.concat([read_scores(made, variant), text], ignore_index=True))
    counts = {}
    for query, wanted in FILTERS.items():
        name, _, value = query.partition("=")
        go(page, locate("questions", a="frism", **{"with": "vlm", name: value}))
        counts[query] = (count_shown(page), int(wanted(*pairs).sum()))
    assert all(shown == expected for shown, expected in counts.values()), counts
    assert sum(expected > 0 for _, expected in counts.values()) > 12


def test_categories_and_clusters_are_filters(open_view, made):
    page = open_view("questions", b="mini_total", a="frism", c="__proto__")
    own = read_scores(made, "frism").query("benchmark == 'mini_total'")
    assert count_shown(page) == sum(int(i) % 11 == 10 for i in own["index"])
    go(page, locate("questions", b="mini_net", a="frism", k="mini_net/5"))
    page.get_by_role("link", name="pair 2").click()
    wait_until(page, "() => document.querySelector('main').dataset.ready.includes('cluster=')")
    assert count_shown(page) == 2


def test_controls_filter_without_leaving_the_view(open_view, made):
    page = open_view("questions", b="mini_number", a="frism", **{"with": "vlm"})
    a, b = (read_scores(made, v).query("benchmark == 'mini_number'") for v in ("frism", "vlm"))
    expected = int((a["correct"].to_numpy() < b["correct"].to_numpy()).sum())
    page.get_by_label("A against B").select_option("lost")
    shown = "n => document.querySelector('.aside .count').textContent.startsWith(`${n} of`)"
    wait_until(page, shown, expected)
    assert "rel=lost" in page.url
    page.get_by_role("button", name="Clear all filters").click()
    wait_until(page, "() => !location.hash.includes('rel=')")


def test_text_is_searched_in_questions_and_in_raw_answers(open_view, made):
    page = open_view("questions", a="frism", b="mini_number")
    shown = "n => document.querySelector('.aside .count').textContent.startsWith(`${n} of`)"
    page.get_by_label("Text", exact=True).fill("orange")
    items = read_items(made, "mini_number")
    wait_until(page, shown, sum("orange" in str(item["message"]) for item in items))
    raw = read_scores(made, "frism").query("benchmark == 'mini_number'")["raw"]
    phrase = raw.iloc[3].split(" . ")[0]
    page.get_by_label("Text", exact=True).fill(phrase)
    page.get_by_role("button", name="Search the raw answers of A").click()
    wait_until(page, shown, sum(all(word in text.lower() for word in phrase.split()) for text in raw))
    assert page.locator(".answer pre.raw").first.text_content() in set(raw)


def test_a_sample_to_review_is_drawn_by_the_seed_alone(open_view):
    page = open_view("questions", a="frism", order="drawn", seed="1")
    read = "rows => rows.slice(0, 8).map(row => row.querySelector('.what').textContent)"
    first = page.eval_on_selector_all(".question-row", read)
    go(page, locate("questions", a="inject", order="drawn", seed="2"))
    assert page.eval_on_selector_all(".question-row", read) != first
    go(page, locate("questions", a="inject", order="drawn", seed="1"))
    assert page.eval_on_selector_all(".question-row", read) == first


def test_a_question_shows_all_that_the_study_has_of_it(open_view, made):
    page = open_view("questions", k="mini_net/5", a="frism", **{"with": "vlm"})
    page.wait_for_selector(".question[data-key='mini_net/5']")
    item = read_items(made, "mini_net")[5]
    prompt = page.locator(".prompt").inner_text()
    assert all(part["value"].strip() in prompt for part in item["message"] if part["type"] == "text")
    image = page.locator(".prompt img")
    image.evaluate("i => i.decode()")
    assert image.evaluate("i => i.naturalWidth") > 20
    for letter, variant in (("A", "frism"), ("B", "vlm")):
        own = pd.read_csv(made.results / f"scores/{variant}.csv", dtype=str, keep_default_na=False)
        row = own.query("benchmark == 'mini_net' and index == '5'").iloc[0]
        assert page.locator(".gold strong").inner_text() == row["answer"]
        block = page.locator(".answer", has=page.get_by_role("heading", name=f"{letter}: {variant}"))
        assert block.locator("pre.raw").text_content() == row["raw"]
        values = block.locator("dd").all_inner_texts()
        said = dict(zip(block.locator("dt").all_inner_texts(), values, strict=True))
        assert said["tokens"] == row["tokens"] and said["rule"] == row["rule"] and said["seconds"] == "0.01"
        assert said["read as"] == (row["extracted"] or "nothing")
        assert ("right" in said["scored"]) == (row["correct"] == "1")
        if row["extracted"]:
            assert block.locator("mark").text_content() == row["extracted"]
    assert page.locator(".question section tbody tr").count() == len(made.study.variants)
    assert "pair 2" in page.locator(".question .note").first.inner_text()


def test_next_and_previous_question_and_flip(open_view, made):
    page = open_view("questions", b="mini_number", a="inject", **{"with": "vlm"})
    page.get_by_role("button", name="next →").click()
    page.wait_for_selector(".question[data-key='mini_number/1']")
    assert "k=mini_number%2F1" in page.url
    page.get_by_role("button", name="← previous").click()
    page.wait_for_selector(".question[data-key='mini_number/0']")
    go(page, locate("questions", a="inject", **{"with": "vlm"}))
    a, b = read_scores(made, "inject"), read_scores(made, "vlm")
    place = next(k for k in a.index[a["correct"] != b["correct"]] if k > 0)
    page.get_by_role("button", name="flip →").click()
    page.wait_for_selector(f".question[data-key='{a['benchmark'][place]}/{a['index'][place]}']")


def test_text_questions_show_their_prompt_and_the_language_models(open_view, made):
    page = open_view("questions", b="text:mini_total", a="lrm", **{"with": "base"})
    assert page.locator(".answer pre.raw").count() == 2
    assert len(page.locator(".prompt pre").inner_text()) > 20
    assert page.locator(".question section tbody tr").count() == len(made.study.variants) + 2


def test_a_number_of_flips_opens_as_many_questions(open_view, made):
    page = open_view("findings", table="benchmarks")
    rows = pd.read_csv(made.results / "tables/benchmarks.csv", dtype=str, keep_default_na=False)
    row = rows.query("variant == 'frism' and benchmark == 'mini_net'").iloc[0]
    cells = page.locator("tbody tr").filter(has_text=re.compile("^frism.*mini_net"))
    cells.first.locator("a", has=page.locator("[data-col=gained]")).click()
    page.wait_for_selector("main[data-view=questions] .aside .count")
    assert count_shown(page) == int(row["gained"])
