"""The site builds without a warning, loads nothing from elsewhere, and can be searched without a server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from documentation.reference import public_names
from documentation.site import build_site, find_problems
from tests.paths import ROOT

_BOUND = 60_000


@pytest.fixture(scope="module")
def site() -> Path:
    return build_site()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser.new_page()
        browser.close()


def test_site_describes_every_public_name(site: Path) -> None:
    texts = {name: (site / "reference" / name).read_text() for name in ("python.html", "airflow.html")}
    for package, page in (("redraw", "python.html"), ("redraw_airflow", "airflow.html")):
        missing = [
            name
            for name, module in public_names(package).items()
            if f'id="{module}.{name}"' not in texts[page]
            and not module.startswith(("redraw.errors", "redraw.records"))
        ]
        assert missing == []


def test_site_opened_as_files_loads_nothing_from_elsewhere_and_is_searched(site: Path, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto((site / "index.html").as_uri())
    page.get_by_role("button", name="Search").first.click(timeout=_BOUND)
    page.get_by_placeholder("Search").fill("row-independence", timeout=_BOUND)

    found = page.locator("a[href*='#row-independence']")
    expect(found.first).to_be_visible(timeout=_BOUND)
    assert [url for url in asked if not url.startswith(site.as_uri())] == []


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<script src="https://cdn.example/x.js"></script>', "expected nothing from elsewhere"),
        ('<link rel="stylesheet" href="//fonts.example/x.css">', "expected nothing from elsewhere"),
        ('<img src="no-such.png">', "does not exist"),
        ('<a href="no-such.html">x</a>', "leads nowhere"),
        ('<a href="other.html#nowhere">x</a>', "leads nowhere"),
        ('<pre class="mermaid">a</pre>', "fetches scripts from elsewhere"),
        ('<a href="other.html#there">x</a><a href="https://elsewhere.example">y</a>', None),
    ],
)
def test_find_problems_names_each(html: str, problem: str | None, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(html)
    (tmp_path / "other.html").write_text('<h2 id="there">x</h2>')

    found = list(find_problems(tmp_path))

    assert [problem in line for line in found] == [True] if problem else found == []


def test_scripts_of_the_pages_weigh_what_the_architecture_says() -> None:
    scripts = (ROOT / "plugins" / "redraw_airflow" / "web" / "static").glob("*.js")
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text()

    (said,) = re.findall(r"(\d+) kB of scripts", text)
    assert abs(sum(script.stat().st_size for script in scripts) / 1000 - int(said)) < 1
