"""A run that failed says why first, and what helps."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from redraw_airflow.urls import MOUNT
from tests.redraw_airflow.web.failed_runs import REPORT_PAGE
from tests.redraw_airflow.web.test_pages import Reader, read

RUN = "/runs/retrain_and_export"


@pytest.mark.parametrize("path", [f"{RUN}/invalid", f"{RUN}/invalid/validate/%7BMAP_INDEX%7D"])
def test_show_failed_validation_says_first_what_failed_and_what_to_do(
    path: str, viewer: httpx.Client
) -> None:
    page = read(viewer, path)

    said = "metric-thresholds failed loss at most -1 loss 0.25 Train longer, or correct the threshold."
    assert said in page.text
    assert page.text.index(said) < page.text.index("warm-up not run")
    assert "1 other check not run because of these golden-examples" in page.text
    assert "ValidationFailed" in page.text
    assert "https://docs.example/redraw/reference/checks.html#metric-thresholds" in page.links("https://docs")
    pictures = [values["src"] for tag, values in page.elements if tag == "img"]
    assert pictures == [
        f"{MOUNT}{RUN}/invalid/validate/-1/attachments/graphs.svg?theme={theme}"
        for theme in ("light", "dark")
    ]
    assert f"{MOUNT}{RUN}/invalid/validate/-1/attachments/report.html" in page.links(MOUNT)
    assert f"{MOUNT}{RUN}/invalid/export/-1/ledger" in page.links(MOUNT)
    assert "serving_default 1 0.5 ms 1 ms 2 ms 1,000 64" in page.text


def test_show_attachment_of_a_failed_validation_is_the_worker_s_file_without_rights(
    viewer: httpx.Client,
) -> None:
    answer = viewer.get(f"{MOUNT}{RUN}/invalid/validate/-1/attachments/report.html")

    assert answer.text == REPORT_PAGE
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("run", "name"),
    [
        *(("elsewhere", name) for name in ("report.html", "graphs.svg", "graphs.json")),
        # Another run's, and a link.
        ("invalid-too", "report.html"),
        ("linked", "report.html"),
        ("invalid", "ledger.json"),
        ("invalid", "..%2f..%2fsecret.txt"),
        ("invalid", "%3Cscript%3E"),
    ],
)
def test_show_attachment_that_is_not_of_the_run_is_refused(run: str, name: str, viewer: httpx.Client) -> None:
    answer = viewer.get(f"{MOUNT}{RUN}/{run}/validate/-1/attachments/{name}")

    assert answer.status_code in (400, 404)
    assert "a secret" not in answer.text
    assert "root:" not in answer.text
    assert "<script>" not in answer.text.replace("<script src", "")


def test_show_run_whose_report_lies_elsewhere_says_so_and_shows_the_checks(viewer: httpx.Client) -> None:
    page = read(viewer, f"{RUN}/elsewhere").text

    assert "The report cannot be opened here" in page
    assert "metric-thresholds failed" in page


def test_show_run_that_failed_says_the_error_of_each_stage(viewer: httpx.Client) -> None:
    page = read(viewer, f"{RUN}/untrained")

    assert "train failed InvalidDefinition mnist.training_data, after step 0" in page.text
    assert "checkpoint up for retry StorageUnavailable" in page.text
    assert "export failed The reason is in the last lines of its log" in page.text
    assert not [tag for tag, values in page.elements if tag == "img" or "onerror" in values]


def test_show_run_with_equal_failures_has_one_row_with_a_count(viewer: httpx.Client) -> None:
    page = read(viewer, "/runs/reexport_checkpoints/thirty")

    cards = [values["aria-label"] for tag, values in page.elements if values.get("role") == "alert"]
    assert cards == ["reexport failed", "summary failed"]
    assert "reexport 30 tasks failed CheckpointsFailed" in page.text
    assert "30 checkpoints 2026-01-01 00:00:00 and others failed" in page.text
    assert page.text.count("expected 100 bytes, got 0.") == 2
    assert "Report of the first" in page.text
    assert "summary failed The reason is in its report" in page.text


def forms(client: httpx.Client, path: str) -> list[dict[str, str]]:
    """The forms of the buttons on a page."""
    elements = Reader(client.get(MOUNT + path).text).elements
    return [values for tag, values in elements if tag == "form" and "data-dag" in values]


def test_show_failed_validation_offers_to_clear_and_to_waive_what_may_be(publisher: httpx.Client) -> None:
    clear, waive = forms(publisher, f"{RUN}/invalid")

    assert json.loads(clear["data-cleared"])["task_ids"] == ["validate"]
    conf = json.loads(waive["data-conf"])
    assert waive["data-dag"] == "validate_and_publish"
    assert conf == {
        "model": "mnist",
        "saved_model": "/work/mnist/run/export",
        "waive": [],
        "bucket": "gs://models",
    }
    page = publisher.get(f"{MOUNT}{RUN}/invalid").text
    assert re.findall(r'data-kind="listed" value="([^"]*)"', page) == ["warm-up"]


def test_show_failure_to_one_who_may_only_look_offers_nothing(viewer: httpx.Client) -> None:
    assert forms(viewer, f"{RUN}/invalid") == []
    assert forms(viewer, f"{RUN}/untrained") == []
