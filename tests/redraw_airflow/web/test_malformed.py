"""What a page shows where a run holds something malformed: a line of text, and the rest."""

from __future__ import annotations

import httpx
import pytest

from redraw_airflow.urls import MOUNT
from tests.redraw_airflow.web.malformed import MALFORMED, NO_RECORDS
from tests.redraw_airflow.web.routes.test_versions import assert_nothing_acts
from tests.redraw_airflow.web.test_pages import Reader

RUN = f"{MOUNT}/runs/of_others/malformed"


@pytest.mark.parametrize("kind", MALFORMED)
def test_show_run_of_malformed_records_is_a_page(kind: str, viewer: httpx.Client) -> None:
    answer = viewer.get(f"{RUN}-{kind}")

    assert answer.status_code == 200, answer.text[-2000:]
    page = Reader(answer.text)
    assert page.text.count("cannot be read") > len(MALFORMED[kind]) / 3
    assert_nothing_acts(page)


@pytest.mark.parametrize("kind", MALFORMED)
def test_show_task_of_a_malformed_record_is_a_page(kind: str, viewer: httpx.Client) -> None:
    failed = [
        number
        for number in range(len(MALFORMED[kind]))
        if viewer.get(f"{RUN}-{kind}/task-{number}").status_code != 200
    ]

    assert failed == []


def test_show_run_of_xcoms_that_are_no_records_shows_the_good_one(viewer: httpx.Client) -> None:
    answer = viewer.get(f"{RUN}-others")

    assert answer.status_code == 200, answer.text[-2000:]
    page = Reader(answer.text)
    assert "accuracy" in page.text
    assert "expected at most 2000000 characters" in page.text


@pytest.mark.parametrize("number", range(len(NO_RECORDS)))
def test_show_task_of_an_xcom_that_is_no_record_is_a_page(number: int, viewer: httpx.Client) -> None:
    assert viewer.get(f"{RUN}-others/task-{number}").status_code == 200
