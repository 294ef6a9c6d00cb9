"""axe-core finds no serious fault, in light and dark; the keyboard alone reaches everything."""

from pathlib import Path

import pytest

from tests.benchmarks.page.conftest import locate
from tests.support.browsers import go

VIEWS = {
    "trade-off": {}, "variant": {"variant": "frism"}, "compare": {"a": "frism", "with": "inject"},
    "questions": {"k": "mini_total/3", "a": "frism", "with": "vlm"}, "findings": {"table": "axes"},
    "provenance": {"variant": "frism"}, "marks": {},
}  # fmt: skip
AXE = Path(__file__).with_name("vendor") / "axe.min.js"
RUN = """async () => (await axe.run(document, {resultTypes: ['violations'], preload: false})).violations
    .filter(v => ['serious', 'critical'].includes(v.impact) || v.tags.includes('wcag2aa'))
    .map(v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' | ')}`)"""


def test_axe_finds_no_serious_fault(open_view):
    page = open_view()
    page.evaluate(AXE.read_text())
    found = {}
    for view, params in VIEWS.items():
        go(page, locate(view, **params))
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.wait_for_timeout(60)
            found[view, scheme] = page.evaluate(RUN)
    assert not {key: faults for key, faults in found.items() if faults}


@pytest.mark.parametrize("view", VIEWS)
def test_the_keyboard_reaches_every_control(open_view, view):
    """Tab comes to everything that can be worked; what has arrow keys of its own counts as one stop."""
    page = open_view(view, **VIEWS[view])
    page.wait_for_timeout(60)
    page.evaluate("""() => {
        const all = document.querySelectorAll('a[href], button, select, input, summary, [tabindex="0"]');
        const controls = [...all].filter(e => e.getClientRects().length && !e.disabled
            && !e.closest('details:not([open]) > :not(summary)')
            && e.getAttribute('tabindex') !== '-1');
        controls.forEach((e, k) => { e.dataset.stop = k; });
        window.stops = controls.length;
        document.body.focus();
    }""")
    seen, total = set(), page.evaluate("window.stops")
    for _ in range(total + 20):
        page.keyboard.press("Tab")
        stop = page.evaluate("document.activeElement.dataset.stop ?? ''")
        seen.add(stop)
        if len(seen - {""}) == total:
            break
    assert len(seen - {""}) == total


def test_a_visible_ring_shows_where_the_keyboard_is(open_view):
    page = open_view("trade-off")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_arrow_keys_walk_the_points_and_enter_opens_one(open_view, made):
    page = open_view("trade-off")
    page.locator("a.point[tabindex='0']").focus()
    first = page.evaluate("document.activeElement.getAttribute('aria-label')")
    for _ in range(len(made.study.variants) - 1):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") != first
    assert page.locator("#tip").is_visible()
    name = page.evaluate("document.activeElement.getAttribute('aria-label')").split(",")[0]
    page.keyboard.press("Enter")
    page.wait_for_selector("main[data-view=variant]")
    assert page.get_by_label("Variant", exact=True).input_value() == name


def test_arrow_keys_walk_the_questions(open_view):
    page = open_view("questions", b="mini_number", a="frism")
    page.locator(".question-list").focus()
    for key, expected in (("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("End", 19), ("Home", 0)):
        page.keyboard.press(key)
        page.wait_for_selector(f".question[data-key='mini_number/{expected}']")
        active = page.locator(".question-list").get_attribute("aria-activedescendant")
        assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"


def test_colours_can_be_chosen_and_stay(open_view):
    page = open_view("trade-off")
    page.get_by_label("Colours").select_option("dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    page.wait_for_selector("main[data-ready]")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark != "rgb(255, 255, 255)"
    page.get_by_label("Colours").select_option("auto")


def test_a_print_has_no_controls_and_no_cut_tables(open_view):
    page = open_view("findings", table="benchmarks")
    page.emulate_media(media="print")
    assert not page.locator("#views").is_visible()
    assert not page.locator(".table-tools").first.is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('main .scroll')).overflow") == "visible"
    assert len(page.pdf()) > 5000


def test_roles_are_told_apart_without_colour(open_view):
    """Shapes differ by role, and so do they in grey."""
    page = open_view("trade-off")
    shapes = page.eval_on_selector_all(
        "a.point", "all => all.map(p => [p.classList[1], p.querySelector('path').getAttribute('d')])"
    )
    by_role = {}
    for role, shape in shapes:
        by_role.setdefault(role, set()).add(shape)
    assert len(by_role) == 4 and len(set().union(*by_role.values())) == 4
