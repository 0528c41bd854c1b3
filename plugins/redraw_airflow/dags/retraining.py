"""The DAG that trains a model and publishes it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, Context, CronTriggerTimetable, TriggerRule
from airflow.sdk.exceptions import AirflowTimetableInvalid

from redraw.definition.registry import list_models
from redraw_airflow.compat import dag_param
from redraw_airflow.dags.common import DEFAULTS, MODEL, fields, make_dag
from redraw_airflow.dags.forms import check_retrain_choices, checked_by, retrain_form, skip_without_servers
from redraw_airflow.dags.queues import tensorflow_queue
from redraw_airflow.operators.training import (
    ApproveReleaseOperator,
    CheckpointOperator,
    ExportSavedModelOperator,
    PushModelOperator,
    TrainOperator,
    ValidateSavedModelOperator,
)
from redraw_airflow.rollout.operator import ConfirmRolloutOperator

logger = logging.getLogger(__name__)

RELEASES = Asset("redraw_releases")

_DOC = """### Train a model, and publish the result.

    train ─► checkpoint ─► export ─► validate ─► approve ─► push ─► confirm_rollout
      │          │            │          │          │          │          │
      │          │            │          │          │          │          └ the form's servers have it
      │          │            │          │          │          └ bucket: a version, then the live pointer
      │          │            │          │          └ a person says yes, if the form or the definition asks
      │          │            │          └ a report: every check by name, with its evidence
      │          │            └ SavedModel: the graph redrawn for inference
      │          └ one verified checkpoint, in the catalogue
      └ checkpoints and metrics; a retry resumes where the training stopped

**Trigger** opens a form, and an API call takes the same values as `conf`. Each task's XCom is the record of
its stage. If approval is asked for, the run waits for an answer under **Required Actions**; after a no, or
without an answer in time, nothing is published. A push updates the asset `redraw_releases`; the event
carries the version, its URI, its digest and its metrics.
"""


def retrain_and_export(
    dag_id: str = "retrain_and_export",
    *,
    schedule: Any = None,
    model: str | None = None,
    default_args: Mapping[str, Any] | None = None,
    **dag_arguments: Any,
) -> DAG:
    """Make the DAG that trains a model, redraws it for inference, validates it and publishes it.

    Args:
        dag_id: The DAG's id.
        schedule: Anything that `airflow.sdk.DAG` accepts. A cron expression is in UTC, and unpausing the DAG
            starts no run for the past. A schedule needs `model`. None: only a person starts runs.
        model: The only model of this DAG; None: the form offers all of them.
        default_args: Arguments of its tasks that replace its own defaults.
        dag_arguments: Other arguments of `airflow.sdk.DAG`, such as `tags` or `owner_links`.

    Returns:
        The DAG; a file of the DAGs folder has to assign it to a variable.

    Raises:
        InvalidDefinition: There is no model to choose.
        InvalidRequest: There is a schedule and no model, although there are several to choose from.

    Example:
        >>> dag = retrain_and_export(model="mnist", schedule="0 3 * * MON")
    """
    with make_dag(
        dag_id,
        retrain_form(model, scheduled=schedule is not None),
        dag_arguments,
        description="Train a model, redraw it for inference, validate it and publish it",
        doc_md=_DOC,
        tags=["redraw", "training", "publication"],
        schedule=_in_utc(schedule),
        default_args={**DEFAULTS, **(default_args or {})},
    ) as dag:
        _add_tasks(dag)
    return dag


def retrain_each(
    models: Iterable[str] | None = None,
    *,
    dag_id: str = "retrain_{model}",
    schedule: Any = None,
    default_args: Mapping[str, Any] | None = None,
    **dag_arguments: Any,
) -> dict[str, DAG]:
    """Make a DAG like `retrain_and_export` for each of several models.

    Args:
        models: Their names; None for those whose definitions have a `schedule`.
        dag_id: The DAG's id, with `{model}` in it.
        schedule: The schedule of those whose definitions have none.
        default_args: Arguments of the tasks that replace the defaults, such as `owner`.
        dag_arguments: Other arguments of `airflow.sdk.DAG`.

    Returns:
        DAG id to DAG. A definition that cannot be used gets no DAG, and the log says why.

    Example:
        >>> globals().update(retrain_each())
    """
    definitions = {model.name: model for model in list_models()}
    names = (
        [name for name, model in definitions.items() if model.schedule] if models is None else list(models)
    )
    dags: dict[str, DAG] = {}
    for name in names:
        model = definitions.get(name)
        if model is None or model.problem or not model.trains:
            problem = (
                "no package has its definition"
                if model is None
                else model.problem or "the definition has no training data"
            )
            logger.error("no DAG for model %r: %s", name, problem)
            continue
        try:
            timetable = _in_utc(model.schedule or schedule)
            if isinstance(timetable, CronTriggerTimetable):
                timetable.validate()
        except AirflowTimetableInvalid as err:
            logger.error("no DAG for model %r: schedule: %s. Correct the definition.", name, err)
            continue
        arguments = {"description": model.summary or None, **dag_arguments}
        model_dag_id = dag_id.format(model=name)
        dags[model_dag_id] = retrain_and_export(
            model_dag_id,
            schedule=timetable,
            model=name,
            default_args={**({"owner": model.owner} if model.owner else {}), **(default_args or {})},
            **arguments,
        )
    return dags


def _in_utc(schedule: Any) -> Any:
    """A cron expression as a timetable in UTC that starts no run for the past."""
    if not isinstance(schedule, str) or schedule.startswith("@"):
        return schedule
    return CronTriggerTimetable(schedule, timezone="UTC", run_immediately=timedelta(0))


def _add_tasks(dag: DAG) -> None:
    train = TrainOperator(
        model=MODEL,
        task_id="train",
        max_steps=dag_param(dag, "steps"),
        choose=dag_param(dag, "checkpoint"),
        **fields(dag, "warm_start", "catalogue", "distribution", "metric", "step", "weights", "bucket"),
        execution_timeout=timedelta(days=1),
        pre_execute=checked_by(check_retrain_choices),
        **tensorflow_queue(),
    )
    checkpoint = CheckpointOperator(
        model=MODEL,
        task_id="checkpoint",
        training_run=train.output,
        choose=dag_param(dag, "checkpoint"),
        **fields(dag, "catalogue", "metric", "step"),
    )
    export = ExportSavedModelOperator(
        model=MODEL,
        task_id="export",
        checkpoint=checkpoint.output,
        weights=dag_param(dag, "weights"),
        **tensorflow_queue(),
    )
    train >> checkpoint >> export >> add_publishing_tasks(dag, export.output)


def add_publishing_tasks(
    dag: DAG, saved_model: Any, check: Callable[[Context], None] | None = None
) -> ValidateSavedModelOperator:
    """Add the tasks that validate an export, ask for approval and publish it.

    Args:
        dag: The DAG; its form has the fields of `retrain_form` from validation on.
        saved_model: The export: the XCom of the task that made it, or a field of the form.
        check: What to call before the first of them starts.

    Returns:
        The first of them.
    """
    validate = ValidateSavedModelOperator(
        model=MODEL,
        task_id="validate",
        saved_model=saved_model,
        against=dag_param(dag, "bucket"),
        **fields(dag, "allow_breaking", "waive", "waive_reason", "approval"),
        pre_execute=check,
        **tensorflow_queue(),
    )
    approve = ApproveReleaseOperator(
        model=MODEL,
        task_id="approve",
        saved_model=saved_model,
        report=validate.output,
        wait_hours=dag_param(dag, "approval_hours"),
        **fields(dag, "bucket", "make_live"),
    )
    push = PushModelOperator(
        model=MODEL,
        task_id="push",
        saved_model=saved_model,
        report=validate.output,
        **fields(dag, "bucket", "make_live"),
        approval=approve.output,
        outlets=[RELEASES],
        # If no approval is needed, `approve` is skipped; if a person rejects, it skips this task.
        trigger_rule=TriggerRule.NONE_FAILED,
    )
    confirm = ConfirmRolloutOperator(
        model=MODEL,
        task_id="confirm_rollout",
        version=push.output,
        **fields(dag, "servers", "bucket"),
        on_failure="{{ 'roll-back' if params.roll_back else 'report' }}",
        only_live=True,
        pre_execute=skip_without_servers,
    )
    validate >> approve >> push >> confirm
    return validate
