"""Debian's Chromium, for the tests that look at pages as people do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

__all__ = ["NARROW", "SHOWN_BOUND", "WIDE", "chromium", "find_serious", "tab_to"]

# No sandbox of its own where it runs as root, no graphics card, and nothing that calls home.
_SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
WIDE, NARROW = (1280, 900), (390, 850)
# In milliseconds: what a page may take where every core is busy. Playwright's own 5 s are for an idle one.
SHOWN_BOUND = 60_000


# For a module, not for the session: while it is open, Playwright's event loop runs in this thread, and no
# other test could start one.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser; a test that needs it is skipped where it is not installed."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    expect.set_options(timeout=SHOWN_BOUND)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_SWITCHES))
        yield browser
        browser.close()


def find_serious(page: Page, part: str | None = None, *rules: str) -> list[str]:
    """What axe finds of the worse kinds, each with where.

    Args:
        page: Where to look.
        part: A selector of the part to look at; all of the page by default.
        rules: By which rules; by all if none is named.
    """
    page.add_script_tag(path=_AXE)
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found: list[dict[str, Any]] = page.evaluate(
        "async ([part, options]) => (await axe.run(part ?? document, options)).violations", [part, options]
    )
    return [
        f"{one['id']}: {node['target']}: {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]


def tab_to(page: Page, target: Locator, *, own: bool = True, most: int = 200) -> None:
    """Press Tab until the target has the focus, in a frame too; of a page of our own, see that it shows."""
    target.wait_for(state="attached")
    for _ in range(most):
        page.keyboard.press("Tab")
        if target.evaluate("one => one.ownerDocument.hasFocus() && one === one.ownerDocument.activeElement"):
            break
    shown = target.evaluate(
        """(one, own) => {
            const style = getComputedStyle(one);
            const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
            return one.matches(":focus") && (outlined || !own);
        }""",
        own,
    )
    assert shown, f"expected {target} to be reached by Tab, and to show its focus"
