import re

import pytest

from documentation.reference import PAGES, make_page
from redraw.validate.plan import EVERY_CHECK
from tests.paths import ROOT


@pytest.mark.parametrize("name", PAGES)
def test_reference_page_is_up_to_date(name: str) -> None:
    page = ROOT / "docs" / "reference" / name
    assert page.read_text() == make_page(name), f"{page} is out of date. Run: make reference"


def test_tree_of_errors_has_each_error() -> None:
    page = make_page("errors.md")
    assert sorted(re.findall(r"(?m)^[│ ]*[├└]── (\w+)", page)) == sorted(re.findall(r"(?m)^## (\w+)", page))


def test_checks_say_what_to_do_if_they_fail() -> None:
    said = re.findall(r"(?m)^\*\*If it fails:\*\* (.+)$", make_page("checks.md"))
    assert len(said) == len(EVERY_CHECK)
    assert (
        "Remove the training or evaluation function from the network that build returns, and export again."
        in said
    )
    assert sum("--waive live-answers=REASON" in advice for advice in said) == 1


def test_records_say_what_each_key_is() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| .* \| *(?:Optional\.)? *\|$", make_page("records.md"))
    assert rows == []
