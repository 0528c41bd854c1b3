from __future__ import annotations

import pytest

from redraw_airflow.web.views.formatting import as_bytes, as_cell, as_change, as_figure, as_time


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (519360, "519 kB"),
        (1_070_000_000, "1.07 GB"),
        (2.5e12, "2.5 TB"),
        (1.25e15, "1.25e+03 TB"),
    ],
)
def test_format_bytes_takes_the_unit_that_keeps_it_below_a_thousand(value: float, text: str) -> None:
    assert as_bytes(value) == text


def test_format_bytes_with_more_digits_has_them() -> None:
    assert as_bytes(519360, 5) == "519.36 kB"


@pytest.mark.parametrize(("value", "text"), [(0.9123456, "0.9123"), (float("nan"), "nan"), (3.0, "3")])
def test_format_figure_has_four_digits(value: float, text: str) -> None:
    assert as_figure(value) == text


def test_format_time_and_change_read_as_people_write_them() -> None:
    assert as_time("2026-01-02T03:04:05Z") == "2026-01-02 03:04:05"
    assert [as_change(kind) for kind in ("live", "rollback")] == ["made live", "rolled back to"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.98, "0.9800"), (1, "1.000"), (1234.0, "1234"), (0.0125, "0.01250"), (0, "0.000")],
)
def test_word_a_metric_in_a_column_keeps_as_many_digits(value: float, expected: str) -> None:
    assert as_cell(value) == expected
