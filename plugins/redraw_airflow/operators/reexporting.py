"""Operators that export old checkpoints again: plan batches, do each, sum up.

    plan = PlanReexportOperator(task_id="plan", model="mnist")
    reexport = ReexportOperator.partial(task_id="reexport", model="mnist").expand_kwargs(plan.output)
    summary = SummarizeReexportOperator(task_id="summary", planned_by="plan", done_by="reexport")
    plan >> reexport >> summary

Each batch is one mapped task and one process. Nothing that they publish becomes live.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from redraw.errors import CheckpointNotFound, InvalidRequest, short_list
from redraw.records import Checkpoint
from redraw.records.reexport import ReexportReport
from redraw.records.results import CheckpointList
from redraw.requests import CheckpointsRequest, ReexportRequest
from redraw_airflow.operators.arguments import (
    integer,
    integers,
    records,
    required,
    text,
    texts,
    time,
)
from redraw_airflow.operators.base import ApprovedOperator, StageOperator
from redraw_airflow.operators.failures import keeping_failure
from redraw_airflow.operators.inputs import (
    AnyRecord,
    RecordOrUri,
    TaskFolder,
    optional_choice,
    place,
    waivers,
)
from redraw_airflow.settings import CHECKPOINTS

# The XCom of the batches; it exists even if there are none and the task is skipped.
PLAN_KEY = "plan"

_BATCH_SIZE = 50
PARTITION_FORMAT = "%Y-%m-%d"
# Runs that handle their data interval; others handle what their form says.
_TIMED = {"scheduled", "backfill"}


class PlanReexportOperator(StageOperator):
    """List the checkpoints of a run in batches, for mapped tasks.

    They are those of the run's partition or data interval, or of these arguments.

    The key of a partition is the day of the training in UTC, such as `2026-01-31`.

    If there are none, it skips itself and the tasks after it.

    Its XCom is a list with the arguments of a `ReexportOperator` for each batch.

    Args:
        catalogue: Folder or `gs://` URI of the catalogue.
        steps: Only checkpoints of these steps.
        trained_from: Only checkpoints trained at this time or later: a `datetime` or ISO 8601, in UTC if it
            has no offset. A run with a data interval or a partition uses that instead.
        trained_to: Only checkpoints trained before this time, in the same form.
        batch_size: How many checkpoints one mapped task exports.
        kwargs: `model`, the common arguments of operators, and those of `BaseOperator`.

    Example:
        >>> plan = PlanReexportOperator(
        ...     task_id="plan", model="mnist", catalogue="gs://checkpoints", trained_from="2026-01-01"
        ... )
    """

    kinds = {
        **StageOperator.kinds,
        "steps": integers,
        "catalogue": text,
        **dict.fromkeys(("trained_from", "trained_to"), time),
        "batch_size": integer,
    }
    stage, request_type, record_type = "checkpoints", CheckpointsRequest, CheckpointList

    def __init__(
        self,
        *,
        catalogue: str | None = None,
        steps: Sequence[int | str] | None = None,
        trained_from: date | str | None = None,
        trained_to: date | str | None = None,
        batch_size: int | str = _BATCH_SIZE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The fields of a `CheckpointsRequest`, without the times."""
        if self.batch_size is not None and self.batch_size < 1:
            raise InvalidRequest(
                f"batch_size: expected 1 or more, got {self.batch_size}. Correct the argument."
            )
        return {
            "catalogue": place("catalogue", self.catalogue, self.gcp_conn_id, CHECKPOINTS),
            "steps": self.steps,
        }

    def run_fields(self, context: Context) -> dict[str, Any]:
        """The times between which the checkpoints were trained."""
        run = context["dag_run"]
        start, end = self.trained_from, self.trained_to
        # With Airflow's default timetable for a cron expression, the interval has no length.
        interval_start, interval_end = run.data_interval_start, run.data_interval_end
        lasts = interval_start is not None and interval_end is not None and interval_start != interval_end
        by_hand = run.run_type.value not in _TIMED
        key = getattr(run, "partition_key", None)
        if (by_hand or not (lasts or key)) and (start or end or self.steps):
            return {"from_time": start, "to_time": end}
        if key:
            return _day(key)
        if interval_start is None or interval_end is None or not lasts:
            raise InvalidRequest(
                "steps, trained_from, trained_to: expected at least one of them in a run without a data"
                " interval, got none. Set one of them in the form, or give the DAG a"
                " CronDataIntervalTimetable."
            )
        return {
            "from_time": interval_start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "to_time": interval_end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def execute(self, context: Context) -> list[dict[str, Any]]:  # type: ignore[override]
        """List the checkpoints.

        Returns:
            An item for each batch: the arguments of its `ReexportOperator`.

        Raises:
            AirflowFailException: An error that a retry cannot fix.
            AirflowException: An error that a retry may fix.
            AirflowSkipException: There are no checkpoints.
        """
        listed = CheckpointList.from_json(self.run_stage(context).to_json())
        self._demand_steps(context, listed.checkpoints)
        size = self.batch_size or _BATCH_SIZE
        oldest_first = listed.checkpoints[::-1]
        batches = [_batch(oldest_first[start : start + size]) for start in range(0, len(oldest_first), size)]
        context["ti"].xcom_push(key=PLAN_KEY, value=batches)
        if not batches:
            raise AirflowSkipException(f"No checkpoint of {self.model} to export again.")
        return batches

    def _demand_steps(self, context: Context, checkpoints: Sequence[Checkpoint]) -> None:
        """Demand a checkpoint of each step that a person named."""
        missing = sorted(
            {int(step) for step in self.steps or ()} - {checkpoint.step for checkpoint in checkpoints}
        )
        if missing and context["dag_run"].run_type.value not in _TIMED:
            with keeping_failure(context, self.stage, self.model):
                raise CheckpointNotFound(
                    f"steps: expected steps of the catalogue, got {short_list(missing, 'missing steps')},"
                    f" for which the catalogue has no checkpoint of {self.model} between these days."
                    " Correct the steps."
                )


class ReexportOperator(ApprovedOperator):
    """Export, validate and publish a batch of checkpoints in one process; nothing becomes live.

    If one of them fails, so does the task; the XCom `report` has a row for each in any case. A second run
    exports only those that are missing.

    Its XCom is the `ReexportReport` record as JSON values.

    Args:
        checkpoints: Their URIs or records.
        batch_label: What the mapped task is called, with `map_index_template="{{ task.batch_label }}"`.
        bucket: `gs://` URI of the model bucket.
        weights: `raw` or `average`; `default` leaves it to the definition.
        waive: Checks to waive, each by its name or as `CHECK=REASON`.
        waive_reason: The reason for waived checks that have none of their own.
        approval: What an `ApproveReexportOperator` returned; needed if the definition asks for approval.
        kwargs: `model`, the common arguments of operators, and those of `BaseOperator`.

    Example:
        >>> reexport = ReexportOperator.partial(
        ...     task_id="reexport", model="mnist", bucket="gs://models"
        ... ).expand_kwargs(plan.output)
    """

    kinds = {
        **ApprovedOperator.kinds,
        "checkpoints": required(records),
        **dict.fromkeys(("bucket", "weights", "batch_label"), text),
        "waive": texts,
        "waive_reason": text,
    }
    stage, request_type, record_type = "reexport", ReexportRequest, ReexportReport
    reports = changes_models = True

    def __init__(
        self,
        *,
        checkpoints: Sequence[RecordOrUri],
        batch_label: str = "",
        bucket: str | None = None,
        weights: str | None = None,
        waive: Sequence[str] | str | None = None,
        waive_reason: str | None = None,
        approval: AnyRecord | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The fields of a `ReexportRequest`; each try writes to a folder of its own."""
        return {
            "checkpoints": self.checkpoints,
            "bucket": self.bucket_or_default(),
            "out": folder.for_this_try(),
            "weights": optional_choice(self.weights),
            "waive": waivers(self.waive, self.waive_reason),
        }


def _day(key: str) -> dict[str, str]:
    """The start and the end of a partition, by its key."""
    try:
        start = datetime.strptime(key, PARTITION_FORMAT)
        days = [day.isoformat(timespec="seconds") for day in (start, start + timedelta(days=1))]
    except (ValueError, OverflowError) as err:
        raise InvalidRequest(
            f"partition key: expected a day of training such as 2026-01-31, got {key!r:.80}. Correct the"
            " partition key."
        ) from err
    return {"from_time": f"{days[0]}Z", "to_time": f"{days[1]}Z"}


def _batch(checkpoints: Sequence[Checkpoint]) -> dict[str, Any]:
    oldest, newest = checkpoints[0], checkpoints[-1]
    steps = f"step {oldest.step}" if len(checkpoints) == 1 else f"steps {oldest.step} to {newest.step}"
    days = sorted({oldest.trained_at[:10], newest.trained_at[:10]})
    return {
        # Records, because checkpoints that a catalogue only lists have no record of their own.
        "checkpoints": [checkpoint.to_json() for checkpoint in checkpoints],
        "batch_label": f"{steps}, trained {' to '.join(days)}",
    }
