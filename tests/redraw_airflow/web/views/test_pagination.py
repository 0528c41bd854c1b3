from __future__ import annotations

import pytest

from redraw_airflow.web.views.pagination import cut_page


@pytest.mark.parametrize(
    ("count", "page", "first", "rows", "shown", "pages"),
    [
        (0, 1, None, 0, 1, 1),
        (30, 1, 0, 30, 1, 1),
        (31, 1, 0, 30, 1, 2),
        (31, 2, 30, 1, 2, 2),
        (61, 2, 30, 30, 2, 3),
        (61, 99, 60, 1, 3, 3),
    ],
)
def test_cut_page_has_thirty_rows_and_no_page_behind_the_last(
    count: int, page: int, first: int | None, rows: int, shown: int, pages: int
) -> None:
    cut = cut_page(range(count), 100, page)
    assert next(iter(cut.rows), None) == first
    assert (len(cut.rows), cut.matches, cut.total) == (rows, count, 100)
    assert (cut.page, cut.pages) == (shown, pages)
