"""### Train a model, and publish what came of it.

    train ─► checkpoint ─► export ─► validate ─► approve ─► push
      │          │            │          │          │          │
      │          │            │          │          │          └ bucket: a version, then the live pointer
      │          │            │          │          └ a person says yes, where the form or the definition asks
      │          │            │          └ a report: every check by name, with its evidence
      │          │            └ SavedModel: the graph redrawn for inference
      │          └ one verified checkpoint, in the catalogue
      └ checkpoints and metrics; a retry carries on where it stopped

Runs each week, and by hand: **Trigger** opens a form, and an API call takes the same
values as `conf`. Each task's XCom is the record of its stage. Where approval is asked for, the run
waits for an answer under **Required Actions**; after a no, or none in time, nothing is published. A push
updates the asset `redraw_releases`; the event carries the version, its URI, its digest and its metrics.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, CronTriggerTimetable, TriggerRule

from redraw_airflow.dags.callbacks import announce_failure
from redraw_airflow.dags.forms import check_retrain_choices, retrain_form
from redraw_airflow.dags.queues import tensorflow_queue
from redraw_airflow.operators.training import (
    ApproveReleaseOperator,
    CheckpointOperator,
    ExportSavedModelOperator,
    PushModelOperator,
    TrainOperator,
    ValidateSavedModelOperator,
)

RELEASES = Asset("redraw_releases")

with DAG(
    "retrain_and_export",
    description="Train a model, redraw it for inference, validate it and publish it",
    doc_md=__doc__,
    tags=["redraw", "training", "publication"],
    # Unpausing starts nothing by itself: the first run is the next Monday's, or one by hand.
    schedule=CronTriggerTimetable("0 3 * * MON", timezone="UTC", run_immediately=timedelta(0)),
    catchup=False,
    max_active_runs=1,
    params=retrain_form(),
    default_args={
        "on_failure_callback": announce_failure,
        "model": "{{ params.model }}",
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=30),
        "execution_timeout": timedelta(hours=2),
    },
) as dag:
    # dag.param hands over the value itself; a template would make text of it.
    train = TrainOperator(
        task_id="train",
        max_steps=dag.param("steps"),
        warm_start=dag.param("warm_start"),
        catalogue=dag.param("catalogue"),
        distribution=dag.param("distribution"),
        execution_timeout=timedelta(days=1),
        # What the form's fields say of each other, before an hour of training and not after it.
        pre_execute=check_retrain_choices,
        **tensorflow_queue(),
    )
    checkpoint = CheckpointOperator(
        task_id="checkpoint",
        training_run=train.output,
        catalogue=dag.param("catalogue"),
        choose=dag.param("checkpoint"),
        metric=dag.param("metric"),
        step=dag.param("step"),
    )
    export = ExportSavedModelOperator(
        task_id="export",
        checkpoint=checkpoint.output,
        weights=dag.param("weights"),
        **tensorflow_queue(),
    )
    validate = ValidateSavedModelOperator(
        task_id="validate",
        saved_model=export.output,
        against=dag.param("bucket"),
        allow_breaking=dag.param("allow_breaking"),
        waive=dag.param("waive"),
        approval=dag.param("approval"),
        **tensorflow_queue(),
    )
    approve = ApproveReleaseOperator(
        task_id="approve",
        saved_model=export.output,
        report=validate.output,
        bucket=dag.param("bucket"),
        make_live=dag.param("make_live"),
        wait_hours=dag.param("approval_hours"),
    )
    push = PushModelOperator(
        task_id="push",
        saved_model=export.output,
        report=validate.output,
        bucket=dag.param("bucket"),
        make_live=dag.param("make_live"),
        approval=approve.output,
        outlets=[RELEASES],
        # Where nobody is asked, `approve` is skipped; where a person says no, it skips this task.
        trigger_rule=TriggerRule.NONE_FAILED,
    )
    train >> checkpoint >> export >> validate >> approve >> push
