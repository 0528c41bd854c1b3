"""### Export old checkpoints again.

    plan ─► reexport (a mapped task a batch) ─► summary

A run handles the checkpoints whose weights were trained in its data interval: **Backfill**
goes through years of them, with the same values as `conf`. A run by hand takes those of the
form's steps and dates. What is published already is skipped, nothing becomes live, and a
checkpoint that fails, fails alone. An interval without checkpoints is skipped.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, TriggerRule

from redraw_airflow.dags.callbacks import announce_failure
from redraw_airflow.dags.forms import check_reexport_choices, reexport_form
from redraw_airflow.dags.queues import tensorflow_queue
from redraw_airflow.operators.training import (
    PlanReexportOperator,
    ReexportOperator,
    SummarizeReexportOperator,
)

with DAG(
    "reexport_checkpoints",
    description="Export checkpoints of the catalogue again, without making any live",
    doc_md=__doc__,
    tags=["redraw", "publication", "backfill"],
    # With data intervals: a run stands for a day of training, and a backfill for many.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=4,
    params=reexport_form(),
    default_args={
        "on_failure_callback": announce_failure,
        "model": "{{ params.model }}",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=10),
        "execution_timeout": timedelta(hours=2),
    },
) as dag:
    plan = PlanReexportOperator(
        task_id="plan",
        catalogue=dag.param("catalogue"),
        steps=dag.param("steps"),
        trained_from=dag.param("trained_from"),
        trained_to=dag.param("trained_to"),
        batch_size=dag.param("batch_size"),
        pre_execute=check_reexport_choices,
    )
    reexport = ReexportOperator.partial(
        task_id="reexport",
        bucket=dag.param("bucket"),
        weights=dag.param("weights"),
        waive=dag.param("waive"),
        map_index_template="{{ task.batch_label }}",
        **tensorflow_queue(),
    ).expand_kwargs(plan.output)
    summary = SummarizeReexportOperator(
        task_id="summary",
        bucket=dag.param("bucket"),
        planned_by="plan",
        done_by="reexport",
        # Whatever became of the batches; but a run without any is skipped as a whole.
        trigger_rule=TriggerRule.NONE_SKIPPED,
    )
    plan >> reexport >> summary
