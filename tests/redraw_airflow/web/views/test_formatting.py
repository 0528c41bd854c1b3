from __future__ import annotations

import pytest

from redraw_airflow.web.views.formatting import (
    as_bytes,
    as_cell,
    as_change,
    as_count,
    as_difference,
    as_duration,
    as_figure,
    as_time,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (519360, "519 kB"),
        (1_070_000_000, "1.07 GB"),
        (2.5e12, "2.5 TB"),
        (999_700, "1 MB"),
        (1.25e15, "1,250 TB"),
    ],
)
def test_format_bytes_takes_the_unit_that_keeps_it_below_a_thousand(value: float, text: str) -> None:
    assert as_bytes(value) == text


def test_format_bytes_with_more_digits_has_them() -> None:
    assert as_bytes(519360, 5) == "519.36 kB"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9123456, "0.9123"),
        (float("nan"), "nan"),
        (3.0, "3"),
        (12345.6, "12,346"),
        (9999.9, "10,000"),
        (-2e6, "-2,000,000"),
        (2e20, "2e+20"),
        (2e-7, "2e-07"),
    ],
)
def test_format_figure_has_four_digits(value: float, text: str) -> None:
    assert as_figure(value) == text


def test_format_time_and_change_read_as_people_write_them() -> None:
    shown = '<time datetime="2026-01-02T03:04:05Z">2026-01-02 03:04:05</time>'
    assert as_time("2026-01-02T03:04:05Z") == shown
    assert "<b>" not in as_time("<b>")
    assert [as_change(kind) for kind in ("live", "rollback")] == ["made live", "rolled back to"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.98, "0.9800"),
        (1, "1.000"),
        (1234.0, "1234"),
        (0.0125, "0.01250"),
        (0, "0.000"),
        (51234.5, "51,234"),
    ],
)
def test_word_a_metric_in_a_column_keeps_as_many_digits(value: float, expected: str) -> None:
    assert as_cell(value) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.004, "0.004 s"), (0.25, "0.25 s"), (4.53, "4.5 s"), (9.97, "10 s"), (99.4, "99 s")]
    + [(720, "12 min"), (12600, "3.5 h")],
)
def test_format_duration_has_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert as_duration(seconds) == text


def test_format_count_and_difference_say_one_and_many_and_the_sign() -> None:
    assert [as_count(number, "version") for number in (0, 1, 1000)] == [
        "0 versions",
        "1 version",
        "1,000 versions",
    ]
    assert as_count(2, "class", "classes") == "2 classes"
    assert [as_difference(value) for value in (0.25, -0.25, 0, 12345.0)] == [
        "+0.25",
        "\N{MINUS SIGN}0.25",
        "0",
        "+12,345",
    ]
