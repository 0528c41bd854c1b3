"""Every page as people see it: of 1, 30 and 1,000 versions and of each failure; light, dark and narrow.

The pictures lie in `.redraw/pictures/pages`, to be looked at. What a machine can judge is asserted: nothing
scrolls sideways, and axe finds nothing serious.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, Request

from redraw.storage.opening import open_storage
from tests.chromium import NARROW, SHOWN_BOUND, WIDE, chromium, find_serious
from tests.conftest import wait_until
from tests.paths import ROOT
from tests.redraw_airflow.web.appearances import MODELS, PRUNED_DAY, UNREADABLE_DAY, publish_for_looks
from tests.redraw_airflow.web.page_server import Pages
from tests.redraw_airflow.web.publications import version_of

__all__ = ["chromium"]

_PICTURES = ROOT / ".redraw" / "pictures" / "pages"
_RUNS = "runs/retrain_and_export"
_NEWEST = version_of(MODELS["digits_graph"] - 1)
_PATHS = {
    "models": "models",
    "models-none-found": "models?text=nothing+is+like+this",
    **{f"model-{number}": f"models/{model}" for model, number in MODELS.items()},
    "model-unpublished": "models/recommender",
    "charts": "models/digits_graph/charts",
    "version": f"models/digits_graph/{_NEWEST}",
    "version-alone": f"models/one_version/{version_of(0)}",
    "version-bare": f"models/digits_graph/{version_of(500)}",
    "version-pruned": f"models/thirty_versions/{version_of(PRUNED_DAY)}",
    "version-unreadable": f"models/thirty_versions/{version_of(UNREADABLE_DAY)}",
    "version-hostile": f"models/text_classifier/{version_of(0)}",
    "compared": f"models/digits_graph/{_NEWEST}/beside/{version_of(MODELS['digits_graph'] - 2)}",
    "ledger": f"models/digits_graph/{_NEWEST}/ledger",
    "run": f"{_RUNS}/silent",
    "run-failed-validation": f"{_RUNS}/invalid",
    "run-failed-training": f"{_RUNS}/untrained",
    "run-thirty-failures": "runs/reexport_checkpoints/thirty",
    "run-hostile": "runs/of_others/hostile",
    "run-backfill": "runs/reexport_checkpoints/backfill",
    "run-training": "runs/of_others/training",
    "task-validate": f"{_RUNS}/silent/validate/-1",
    "task-compared": "runs/of_others/compared/compare/-1",
    "task-failed": f"{_RUNS}/invalid/validate/-1",
    "not-found": "models/nobody_knows",
}
# What may differ from the light look.
_RULES = {
    "dark": ("color-contrast", "link-in-text-block"),
    "narrow": ("scrollable-region-focusable", "target-size", "color-contrast"),
}
# Next to each other those of one page that is loaded once.
_LOOKS = {"light": (WIDE, False), "narrow": (NARROW, False), "dark": (WIDE, True)}


@pytest.fixture(scope="module")
def show(chromium: Browser, pages: Pages, model_bucket: str) -> Iterator[Callable[..., Page]]:
    """Opens a page of these as somebody who may start everything."""
    publish_for_looks(open_storage(model_bucket))
    shutil.rmtree(_PICTURES, ignore_errors=True)
    _PICTURES.mkdir(parents=True)
    opened: dict[bool, _Window] = {}

    def open_page(path: str, size: tuple[int, int] = WIDE, dark: bool = False, again: bool = True) -> Page:
        if dark not in opened:
            context = chromium.new_context(
                color_scheme="dark" if dark else "light",
                reduced_motion="reduce",
                bypass_csp=True,  # only for axe: the pages let no script in that is not theirs
            )
            context.add_cookies([{"name": "_token", "value": pages.tokens["admin"], "url": pages.url}])
            context.set_default_timeout(SHOWN_BOUND)
            opened[dark] = _Window(context.new_page())
        opened[dark].show(f"{pages.url}/redraw/{path}", size, again)
        return opened[dark].page

    yield open_page
    for window in opened.values():
        window.page.context.close()


class _Window:
    """A page, and what it waits for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._waits_for = set[Request]()
        page.on("request", lambda request: self._waits_for.add(request))
        for end in ("requestfinished", "requestfailed"):
            page.on(end, lambda request: self._waits_for.discard(request))

    def show(self, url: str, size: tuple[int, int], again: bool) -> None:
        """Open it in a window of that size; one that is open already as it is, unless it is to be new."""
        self.page.set_viewport_size({"width": size[0], "height": size[1]})
        if again or self.page.url != url:
            self._waits_for.clear()
            self.page.goto(url, wait_until="load")
        if "training" not in url:  # a page that follows a training asks again and again
            wait_until(self._is_quiet, f"all of {url}")

    def _is_quiet(self) -> bool:
        # What came may ask for more.
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        return not self._waits_for


@pytest.mark.parametrize("look", _LOOKS)
@pytest.mark.parametrize("name", _PATHS)
def test_page_fits_its_window_and_axe_finds_nothing_serious(
    name: str, look: str, show: Callable[..., Page]
) -> None:
    page = show(_PATHS[name], *_LOOKS[look], again=False)
    page.screenshot(path=_PICTURES / f"{name}-{look}.png", full_page=True, animations="disabled")

    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wider) <= 0
    assert page.evaluate("document.documentElement.classList.contains('dark')") == (look == "dark")
    assert find_serious(page, None, *_RULES.get(look, ())) == []


def test_keyboard_alone_leads_from_the_search_to_a_version_and_its_button(show: Callable[..., Page]) -> None:
    page = show("models")

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                break
        focused = page.evaluate(
            """selector => {
                const style = getComputedStyle(document.activeElement);
                return document.activeElement.matches(selector) && style.outlineStyle !== "none"
                    && parseFloat(style.outlineWidth) >= 2;
            }""",
            selector,
        )
        assert focused, selector

    tab_to("a.skip")
    tab_to("#models-text")
    page.keyboard.type("digits_graph")
    page.wait_for_function("document.querySelectorAll('#models-found tbody tr').length === 1")
    tab_to("#models-state")
    tab_to("#models-found tbody th a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/models/digits_graph")
    page.locator(".chart a.point").first.wait_for(state="attached")
    tab_to(".chart a.point")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.matches('.chart a.point:nth-last-of-type(2)')")
    tab_to("[name=version]")
    page.keyboard.press("Space")
    tab_to(".versions tbody th a")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/models/digits_graph/{_NEWEST}")
    tab_to(".actions button")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.closest('dialog[open]') !== null")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.matches('.actions button')")


@pytest.mark.parametrize(
    ("chosen", "zone", "shown"),
    [
        (None, "America/New_York", "2028-09-25 20:00:00"),
        ("Asia/Tokyo", "Asia/Tokyo", "2028-09-26 09:00:00"),
        ("no zone", "UTC", "2028-09-26 00:00:00"),
    ],
)
def test_times_are_in_the_zone_chosen_in_airflow_and_follow_it(
    chosen: str | None, zone: str, shown: str, chromium: Browser, pages: Pages, show: Callable[..., Page]
) -> None:
    context = chromium.new_context(timezone_id="America/New_York")
    context.add_cookies([{"name": "_token", "value": pages.tokens["admin"], "url": pages.url}])
    page = context.new_page()
    page.goto(f"{pages.url}/redraw/static/copy.js")
    if chosen is not None:
        page.evaluate("zone => window.localStorage.setItem('timezone', JSON.stringify(zone))", chosen)
    page.goto(f"{pages.url}/redraw/{_PATHS['model-1000']}")

    trained = page.locator(".versions tbody tr").first.locator("time").first
    assert (trained.text_content(), page.locator("[data-zone]").text_content()) == (shown, zone)
    # As another document of the same Airflow tells of a new choice.
    page.evaluate(
        """() => {
            window.localStorage.setItem("timezone", '"Europe/Berlin"');
            window.dispatchEvent(new StorageEvent("storage", { key: "timezone" }));
        }"""
    )
    assert trained.text_content() == "2028-09-26 02:00:00"
    context.close()


def test_texts_of_a_chart_can_be_read_on_a_narrow_screen(show: Callable[..., Page]) -> None:
    page = show(_PATHS["charts"], NARROW)

    boxes = "all => all.map(one => one.getBoundingClientRect()).map(box => [box.height, box.left])"
    heights, lefts = zip(*page.locator(".chart .scale").evaluate_all(boxes), strict=True)
    assert min(heights) > 10
    assert min(lefts) >= 0


def test_tables_of_a_comparison_show_every_column_on_a_wide_screen(show: Callable[..., Page]) -> None:
    page = show(_PATHS["compared"])

    cut = page.locator(".scroll").evaluate_all(
        "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.getAttribute('aria-label'))"
    )
    assert cut == []


@pytest.mark.parametrize("name", ["run", "task-validate", "version", "compared", "model-30"])
def test_every_table_has_heads_with_a_scope(name: str, show: Callable[..., Page]) -> None:
    page = show(_PATHS[name])

    assert page.locator("table").count() > 0
    assert page.locator("table:not(:has(thead th[scope=col]))").count() == 0
    assert page.locator("th:not([scope])").count() == 0
