"""The DAG that exports old checkpoints again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, TriggerRule, chain

from redraw.errors import InvalidRequest
from redraw_airflow.compat import dag_param
from redraw_airflow.dags.common import DEFAULTS, MODEL, fields, make_dag
from redraw_airflow.dags.forms import asks_for_approval, check_reexport_choices, checked_by, reexport_form
from redraw_airflow.dags.queues import tensorflow_queue
from redraw_airflow.operators.reexporting import PARTITION_FORMAT
from redraw_airflow.operators.training import (
    ApproveReexportOperator,
    PlanReexportOperator,
    ReexportOperator,
    SummarizeReexportOperator,
)

_DOC = """### Export old checkpoints again.

    plan ─► reexport (a mapped task a batch) ─► summary

A run handles the checkpoints whose weights were trained in its data interval, or on the day that is its
partition key: **Backfill** goes through years of them, with the same values as `conf`. A run by hand takes
those of the form's steps and dates. What is published already is skipped, nothing becomes live, and a
checkpoint that fails does not stop the others. An interval without checkpoints is skipped. If the definition
of a model asks for approval, a run asks once for all that it exports, before `reexport`: by hand, with two
dates, that is once for years.
"""

_DAILY = re.compile(r"\d+ \d+ \* \* \*")
_DEFAULTS = {**DEFAULTS, "retries": 2, "max_retry_delay": timedelta(minutes=10)}


def reexport_checkpoints(
    dag_id: str = "reexport_checkpoints",
    *,
    schedule: Any = "0 0 * * *",
    model: str | None = None,
    partitioned: bool = False,
    default_args: Mapping[str, Any] | None = None,
    **dag_arguments: Any,
) -> DAG:
    """Make the DAG that exports checkpoints of the catalogue again, without making any live.

    Args:
        dag_id: The DAG's id.
        schedule: A cron expression, in UTC, or any timetable with data intervals: a run handles
            the checkpoints that were trained in its interval, and a backfill for many.
        model: The only model of this DAG; None: the form offers all of them.
        partitioned: Whether a run handles a partition, whose key is the training day (UTC) such as
            `2026-01-31`, instead of a data interval. `schedule` is then one time of each day, and a run
            handles the day before.
        default_args: Arguments of its tasks that replace its own defaults.
        dag_arguments: Other arguments of `airflow.sdk.DAG`.

    Returns:
        The DAG; a file of the DAGs folder has to assign it to a variable.

    Raises:
        InvalidDefinition: There is no model to choose.
        InvalidRequest: It is partitioned, and its schedule is not one time of each day.

    Example:
        >>> dag = reexport_checkpoints(model="mnist", schedule="0 3 * * *")
    """
    with make_dag(
        dag_id,
        reexport_form(model),
        dag_arguments,
        description="Export checkpoints of the catalogue again, without making any live",
        doc_md=_DOC,
        tags=["redraw", "publication", "backfill"],
        max_active_runs=4,
        schedule=_with_partitions(schedule) if partitioned else _with_intervals(schedule),
        default_args={**_DEFAULTS, **(default_args or {})},
    ) as dag:
        _add_tasks(dag, asks=asks_for_approval(model))
    return dag


def _with_intervals(schedule: Any) -> Any:
    if not isinstance(schedule, str):
        return schedule
    return CronDataIntervalTimetable(schedule, timezone="UTC")


def _with_partitions(schedule: Any) -> Any:
    """A run each day for the day before it, whose checkpoints are complete by then."""
    from airflow.sdk import CronPartitionTimetable

    if not (isinstance(schedule, str) and _DAILY.fullmatch(schedule)):
        raise InvalidRequest(
            "schedule: expected one run a day, such as '0 3 * * *', because the DAG is partitioned, got"
            f" {schedule!r:.80}. Correct the schedule, or set partitioned=False."
        )
    return CronPartitionTimetable(schedule, timezone="UTC", run_offset=-1, key_format=PARTITION_FORMAT)


def _add_tasks(dag: DAG, *, asks: bool) -> None:
    plan = PlanReexportOperator(
        model=MODEL,
        task_id="plan",
        **fields(dag, "catalogue", "steps", "trained_from", "trained_to", "batch_size"),
        pre_execute=checked_by(check_reexport_choices),
    )
    approve = None
    if asks:
        approve = ApproveReexportOperator(
            model=MODEL,
            task_id="approve",
            plan=plan.output,
            bucket=dag_param(dag, "bucket"),
            wait_hours=dag_param(dag, "approval_hours"),
        )
    reexport = ReexportOperator.partial(
        model=MODEL,
        task_id="reexport",
        **fields(dag, "bucket", "weights", "waive", "waive_reason"),
        approval=approve.output if approve else None,
        map_index_template="{{ task.batch_label }}",
        **tensorflow_queue(),
    ).expand_kwargs(plan.output)
    summary = SummarizeReexportOperator(
        model=MODEL,
        task_id="summary",
        bucket=dag_param(dag, "bucket"),
        planned_by="plan",
        done_by="reexport",
        # Runs even if batches failed; a run without batches is skipped.
        trigger_rule=TriggerRule.NONE_SKIPPED,
    )
    chain(*filter(None, (plan, approve, reexport, summary)))
