"""What a page says first of a run that failed: no server, and no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from redraw.errors import InvalidRecord
from redraw.records import Record
from redraw.records.failure import StageFailure
from redraw.uri import Uri
from redraw_airflow.web.views.failed_tasks import FailedTasks, TaskKey, describe_failures
from redraw_airflow.web.views.run_records import TaskPlace, TaskRecord
from tests.redraw_airflow.deciding import EXPORT, REPORT

PLACE = TaskPlace(dag_id="d", run_id="r")
PASSED = REPORT.checks[0]
FAILED = replace(PASSED, name="metric-thresholds", status="failed", found="loss 0.25")
NOT_RUN = replace(REPORT.checks[1], name="warm-up", waived="")
NEEDS = replace(NOT_RUN, name="golden-examples", found="not run: it needs the check loads")
BROKEN = replace(
    REPORT,
    checks=(NOT_RUN, NEEDS, FAILED, PASSED),
    passed=False,
    attachments={"report.html": Uri("/work/report.html"), "latency.json": Uri("/work/latency.json")},
)
FILES = {"/work/report.html": b"<p>", "/work/latency.json": b"{}"}


def failure(message: str, error: str = "DiskFull") -> StageFailure:
    return StageFailure(model="mnist", stage="train", error=error, message=message, retryable=False)


def left_by(records: Mapping[TaskKey, Record | None]) -> dict[TaskKey, TaskRecord]:
    return {
        key: TaskRecord(
            task_id=key[0],
            map_index=key[1],
            kind=type(record).__name__,
            record=record,
            problem="" if record else "cut off",
        )
        for key, record in records.items()
    }


def describe(
    states: Mapping[TaskKey, str],
    left: Mapping[TaskKey, Record | None],
    records: Mapping[TaskKey, Record | None],
    files: Mapping[str, bytes] = FILES,
) -> tuple[FailedTasks, ...]:
    def read(model: str, uri: Uri) -> bytes:
        if uri not in files:
            raise InvalidRecord(f"{model}: no {uri}")
        return files[uri]

    conf: dict[str, Any] = {"bucket": "gs://models", "steps": 7}
    return describe_failures(PLACE, states, left_by(left), left_by(records).values(), conf, read)


def test_describe_failures_shows_equal_ones_once_in_their_order() -> None:
    states = {("b", 0): "failed", ("a", -1): "up_for_retry", ("b", 1): "success"}
    states |= {("b", 2): "failed", ("b", 3): "up_for_retry", ("b", 4): "failed"}
    left = {("b", 0): failure("1 byte is missing"), ("b", 2): failure("2 byte is missing")}
    left |= {("b", 3): failure("1 byte is missing", "NoSuchModel")}

    groups = describe(states, {**left, ("b", 4): None}, {})

    assert [group.tasks for group in groups] == [
        (("b", 0), ("b", 2)),
        (("a", -1),),
        (("b", 3),),
        (("b", 4),),
    ]
    assert [group.retried for group in groups] == [False, True, True, False]
    assert [group.failure and group.failure.error for group in groups] == [
        "DiskFull",
        None,
        "NoSuchModel",
        None,
    ]
    assert [group.problem for group in groups] == ["", "", "", "cut off"]
    (again,), (other,) = groups[0].actions, groups[1].actions
    assert (again.button, other.button) == ("Run them again", "Run it again")
    assert again.effect.startswith("Runs 2 tasks of b and the tasks after it again")
    assert (again.name, other.name, other.task) == ("clear-b-0", "clear-a-0", "a")
    assert again.cleared == {
        "dag_run_id": "r",
        "task_ids": [["b", 0], ["b", 2]],
        "only_failed": False,
        "include_downstream": True,
        "reset_dag_runs": True,
        "dry_run": False,
    }
    assert other.cleared["task_ids"] == ["a"]


def test_describe_failed_validation_names_what_failed_first_and_offers_waivers() -> None:
    key, export = ("validate", -1), ("export", -1)
    records = {key: BROKEN, export: EXPORT, ("other", -1): replace(EXPORT, digest="f" * 64)}

    (group,) = describe({key: "failed"}, {}, records)

    assert group.validation is not None
    assert [check.name for check in group.validation.blocking] == ["metric-thresholds", "warm-up"]
    assert [check.name for check in group.validation.dependent] == ["golden-examples"]
    assert (group.validation.latency.content, group.validation.problem) == ({}, "")
    assert group.validation.attachments == ("report.html", "latency.json")
    assert group.ledger == export
    assert [action.task for action in group.actions] == ["validate", "validate"]
    assert group.actions[1].name == f"waive-{EXPORT.digest[:12]}"
    assert [field.value for field in group.actions[1].fields] == ["warm-up"]
    assert group.actions[1].conf == {
        "bucket": "gs://models",
        "model": "mnist",
        "saved_model": EXPORT.uri,
        "waive": [],
    }


def test_describe_failed_validation_without_its_files_or_export_says_what_it_can() -> None:
    key = ("validate", -1)

    (group,) = describe({key: "failed"}, {}, {key: BROKEN}, files={})
    (passed,) = describe({key: "failed"}, {}, {key: REPORT, ("export", -1): EXPORT})

    assert group.validation is not None
    assert (group.validation.attachments, group.validation.problem) == ((), "mnist: no /work/report.html")
    assert (group.ledger, len(group.actions)) == (None, 1)
    assert (passed.validation, passed.ledger, len(passed.actions)) == (None, None, 1)


@pytest.mark.parametrize("number", [3, 4])
def test_describe_failures_opens_the_files_of_the_first_three(number: int) -> None:
    keys = [("validate", place) for place in range(number)]
    left = {key: failure("no room", f"Error{'abcd'[key[1]]}") for key in keys}

    groups = describe(dict.fromkeys(keys, "failed"), left, dict.fromkeys(keys, BROKEN))

    opened = [bool(group.validation and group.validation.attachments) for group in groups]
    assert opened == [True, True, True, False][:number]
