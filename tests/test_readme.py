"""The README: short, and what it says is so."""

from __future__ import annotations

import re

import pytest

from redraw.commands import COMMANDS
from redraw.errors import error_named
from redraw.validate.plan import PLAN, PLAN_OF_RECORDINGS
from tests.paths import ROOT

README = (ROOT / "README.md").read_text()
PAGES = {path: path.read_text() for path in sorted((ROOT / "docs").rglob("*.md"))}
_STAGES = PAGES[ROOT / "docs" / "how-to" / "retrain.md"]


def test_readme_fits_on_a_screen_or_two() -> None:
    assert len(README.encode()) <= 6000


def test_documentation_shows_every_command() -> None:
    text = "".join(page for path, page in PAGES.items() if path.parent.name != "reference")
    assert [name for name in COMMANDS if not re.search(rf"redraw {name}\b", text)] == []


def test_validation_page_has_a_row_for_every_check() -> None:
    page = PAGES[ROOT / "docs" / "explanation" / "validation.md"]
    named = {
        name for row in page.splitlines() if row.startswith("| [`") for name in re.findall(r"`(\S+?)`\]", row)
    }
    assert named == {check.name for check in (*PLAN, *PLAN_OF_RECORDINGS)}


@pytest.mark.parametrize("name", re.findall(r"`([A-Z]\w+)`", _STAGES.split("| Stage |")[1].split("\n\n")[0]))
def test_error_names_of_the_stages_exist(name: str) -> None:
    assert error_named(name).__name__ == name


@pytest.mark.parametrize("path", re.findall(r"\]\(((?!http)[^)#]+)\)", README))
def test_readme_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


def test_make_targets_of_the_documentation_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {
        name
        for text in (README, *PAGES.values())
        for name in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)
    }
    assert {"run", "stop", "clean", "test", "bench"} <= named
    for target in named:
        assert re.search(rf"^(?:[a-z-]+ )*{target}(?: [a-z-]+)*:", makefile, re.MULTILINE), target
