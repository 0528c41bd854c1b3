"""The actions after a failure: run the tasks again, or validate the export again with a waiver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from redraw.records import Check, ExportedModel
from redraw.records.report import is_waivable
from redraw_airflow.settings import VALIDATE_DAG
from redraw_airflow.web.views.actions import Action, Field, configured_dag
from redraw_airflow.web.views.run_records import TaskPlace

# The fields that the form of the failed run shares with the form of the DAG that validates again.
_COMMON = ("bucket", "allow_breaking", "approval", "approval_hours", "make_live")


def clearing(place: TaskPlace, tasks: Sequence[tuple[str, int]]) -> Action:
    """Run tasks and those after them again.

    Args:
        place: The run.
        tasks: The tasks, each by its id and number.
    """
    task_ids = [task_id if number < 0 else [task_id, number] for task_id, number in tasks]
    subject = tasks[0][0] if len(tasks) == 1 else f"{len(tasks)} tasks of {tasks[0][0]}"
    return Action(
        name=f"clear-{tasks[0][0]}-{max(tasks[0][1], 0)}",
        button="Run it again" if len(tasks) == 1 else "Run them again",
        effect=f"Runs {subject} and the tasks after it again, in this run and with the same parameters.",
        dag=place.dag_id,
        task=tasks[0][0],
        conf={},
        cleared={
            "dag_run_id": place.run_id,
            "task_ids": task_ids,
            "only_failed": False,
            "include_downstream": True,
            "reset_dag_runs": True,
            "dry_run": False,
        },
    )


def validating_again(
    export: ExportedModel, blocking: Iterable[Check], conf: Mapping[str, Any]
) -> Iterator[Action]:
    """Validate an export again with waivers, and publish it if it passes; nothing is trained again.

    Args:
        export: The export that failed.
        blocking: The checks that block it; nothing is offered if none of them may be waived.
        conf: The parameters of the run.
    """
    checks = [check.name for check in blocking if is_waivable(check)]
    dag = configured_dag(VALIDATE_DAG)
    if not checks or not dag:
        return
    common = {name: conf[name] for name in _COMMON if name in conf}
    yield Action(
        name=f"waive-{export.digest[:12]}",
        button="Validate again with a waiver",
        effect=f"The export of step {export.checkpoint.step} is validated again; the selected checks no"
        " longer block it. If it passes, it is published. Nothing is trained or exported again.",
        dag=dag,
        task="validate",
        conf={**common, "model": export.model, "saved_model": export.uri, "waive": []},
        reasons=("waive_reason",),
        fields=tuple(
            Field(name="waive", label=f"Waive {name}", kind="listed", value=name) for name in checks
        ),
        grave=True,
        watched=False,
    )
