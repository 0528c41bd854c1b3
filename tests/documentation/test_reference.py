import pytest

from documentation.reference import PAGES, make_page
from tests.paths import ROOT


@pytest.mark.parametrize("name", PAGES)
def test_reference_page_is_up_to_date(name: str) -> None:
    page = ROOT / "docs" / "reference" / name
    assert page.read_text() == make_page(name), f"{page} is out of date. Run: make reference"
