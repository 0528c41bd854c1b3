from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from redraw.errors import InvalidRequest
from redraw.records.reexport import ReexportedCheckpoint, ReexportReport
from redraw_airflow.operators.training import PlanReexportOperator, SummarizeReexportOperator

START, END = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 2, tzinfo=UTC)
INTERVAL = {"from_time": "2025-03-01T00:00:00Z", "to_time": "2025-03-02T00:00:00Z"}


def period(
    run_type: str, *, timed: bool = True, end: Any = END, partition: str | None = None, **form: Any
) -> dict[str, Any]:
    """The times that a run asks for."""
    dates = (START, end) if timed else (None, None)
    run = SimpleNamespace(
        run_type=SimpleNamespace(value=run_type),
        data_interval_start=dates[0],
        data_interval_end=dates[1],
        partition_key=partition,
    )
    operator = PlanReexportOperator(task_id="plan", model="mnist", **form)
    context: Any = {"dag_run": run}
    return operator.run_fields(context)


@pytest.mark.parametrize("run_type", ["scheduled", "backfill"])
def test_plan_of_a_timed_run_takes_its_interval_whatever_the_form_says(run_type: str) -> None:
    assert period(run_type, trained_from="2020-01-01", steps=[5]) == INTERVAL


def test_plan_by_hand_takes_the_form_before_the_interval() -> None:
    assert period("manual", trained_from="2020-01-01") == {"from_time": "2020-01-01", "to_time": None}
    assert period("manual", steps=[5]) == {"from_time": None, "to_time": None}
    assert period("manual") == INTERVAL


@pytest.mark.parametrize("run_type", ["scheduled", "backfill", "manual"])
def test_plan_of_an_interval_without_length_takes_the_arguments_or_says_what_is_missing(
    run_type: str,
) -> None:
    given = {"trained_from": "2020-01-01", "trained_to": "2020-01-02"}
    assert period(run_type, end=START, **given) == {"from_time": "2020-01-01", "to_time": "2020-01-02"}
    with pytest.raises(InvalidRequest, match="without a data interval, got none.*Timetable"):
        period(run_type, end=START)


def test_plan_by_hand_without_anything_says_what_is_missing() -> None:
    with pytest.raises(InvalidRequest, match="expected at least one of them"):
        period("manual", timed=False)


@pytest.mark.parametrize("run_type", ["scheduled", "backfill", "manual", "asset_triggered"])
def test_plan_of_a_partition_takes_its_day(run_type: str) -> None:
    day = {"from_time": "2024-02-29T00:00:00Z", "to_time": "2024-03-01T00:00:00Z"}
    assert period(run_type, timed=False, partition="2024-02-29") == day


def test_plan_of_a_partition_of_long_ago_takes_its_day() -> None:
    day = {"from_time": "0999-12-31T00:00:00Z", "to_time": "1000-01-01T00:00:00Z"}
    assert period("manual", timed=False, partition="0999-12-31") == day


@pytest.mark.parametrize("key", ["2026-02-30", "yesterday", "2026-02-01T00:00:00", "9999-12-31"])
def test_plan_of_a_partition_that_is_no_day_says_so(key: str) -> None:
    with pytest.raises(InvalidRequest, match="partition key: expected a day of training such as 2026-01-31"):
        period("manual", timed=False, partition=key)


class TaskInstance:
    """What the summary asks of its task instance: the XComs of the tasks before, and a place for its own."""

    def __init__(self, batches: Any, reports: list[Any]) -> None:
        self._batches, self._reports = batches, reports
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int | None = None) -> Any:
        if map_indexes is None:
            return self._batches if (task_ids, key) == ("plan", "plan") else None
        return self._reports[map_indexes] if (task_ids, key) == ("reexport", "report") else None

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.pushed[key] = value


def summarize(ti: TaskInstance) -> Any:
    operator = SummarizeReexportOperator(
        task_id="summary", model="mnist", bucket="gs://models", planned_by="plan", done_by="reexport"
    )
    context: Any = {"ti": ti}
    return operator.execute(context)


def batch(step: int) -> dict[str, Any]:
    return {"checkpoints": [{"uri": f"/c/{step}", "step": step, "trained_at": "2025-03-01T00:00:00Z"}]}


def report(step: int) -> Any:
    row = ReexportedCheckpoint(uri=f"/c/{step}", outcome="exported", seconds=0.5, step=step, version=step)
    return ReexportReport(model="mnist", bucket="gs://models", checkpoints=(row,), seconds=0.5).to_json()


def test_summary_of_batches_that_all_went_well_adds_them_up() -> None:
    summary = ReexportReport.from_json(summarize(TaskInstance([batch(1), batch(2)], [report(1), report(2)])))

    assert [(row.step, row.outcome) for row in summary.checkpoints] == [(1, "exported"), (2, "exported")]
    assert summary.seconds == 1.0


def test_summary_of_a_batch_whose_task_was_lost_counts_its_checkpoints_as_failed() -> None:
    ti = TaskInstance([batch(1), batch(2)], [report(1), None])

    with pytest.raises(AirflowFailException, match=r"1 exported, 0 already there, 1 failed\. Failed: /c/2: "):
        summarize(ti)

    rows = ReexportReport.from_json(ti.pushed["summary"]).checkpoints
    assert [(row.step, row.outcome) for row in rows] == [(1, "exported"), (2, "failed")]


def test_summary_without_a_plan_fails() -> None:
    with pytest.raises(AirflowFailException, match="expected a plan, got none"):
        summarize(TaskInstance(None, []))
