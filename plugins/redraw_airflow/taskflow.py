"""The operators as functions that pass records on, like TaskFlow's own tasks.

    from airflow.sdk import dag
    from redraw_airflow.taskflow import checkpoint, export, push, train, validate

    @dag
    def churn():
        chosen = checkpoint(model="churn", training_run=train(model="churn"))
        saved_model = export(model="churn", checkpoint=chosen)
        push(model="churn", saved_model=saved_model, report=validate(model="churn", saved_model=saved_model))

Each makes its operator and returns the operator's XCom: the stage's record. They also accept what an `@task`
function returns, a record or a place. `task_id` is the function's name by default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.sdk import BaseOperator, XComArg

from redraw_airflow.operators.training import (
    ApproveReleaseOperator,
    CheckpointOperator,
    CompareAnswersOperator,
    ExportSavedModelOperator,
    MarkVersionOperator,
    PruneOperator,
    PushModelOperator,
    ReexportOperator,
    RollBackOperator,
    SetLiveOperator,
    TrainOperator,
    ValidateSavedModelOperator,
)
from redraw_airflow.rollout.operator import ConfirmRolloutOperator

__all__ = [
    "approve",
    "checkpoint",
    "compare_answers",
    "confirm_rollout",
    "export",
    "mark",
    "prune",
    "push",
    "reexport",
    "roll_back",
    "set_live",
    "train",
    "validate",
]


def _function(operator: type[BaseOperator], name: str) -> Callable[..., XComArg]:
    def make(**arguments: Any) -> XComArg:
        arguments.setdefault("task_id", name)
        return operator(**arguments).output

    make.__name__ = make.__qualname__ = name
    make.__doc__ = (
        f"Add a `{operator.__name__}`, with its arguments, to the DAG; returns its XCom: the stage's record."
    )
    return make


train = _function(TrainOperator, "train")
checkpoint = _function(CheckpointOperator, "checkpoint")
export = _function(ExportSavedModelOperator, "export")
validate = _function(ValidateSavedModelOperator, "validate")
approve = _function(ApproveReleaseOperator, "approve")
compare_answers = _function(CompareAnswersOperator, "compare_answers")
push = _function(PushModelOperator, "push")
set_live = _function(SetLiveOperator, "set_live")
roll_back = _function(RollBackOperator, "roll_back")
confirm_rollout = _function(ConfirmRolloutOperator, "confirm_rollout")
mark = _function(MarkVersionOperator, "mark")
prune = _function(PruneOperator, "prune")
reexport = _function(ReexportOperator, "reexport")
