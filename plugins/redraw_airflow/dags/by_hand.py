"""The DAGs with one task that only a person starts: roll back, mark and prune."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param

from redraw_airflow.dags.callbacks import announce_failure
from redraw_airflow.dags.common import MODEL, fields, make_dag
from redraw_airflow.dags.forms import checked_by, mark_form, prune_form, roll_back_form
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.training import MarkVersionOperator, PruneOperator, RollBackOperator

_ROLL_BACK_DOC = """### Make a version live that was live before.

Only a person starts it: **Trigger** opens a form with the model, the version (empty: the one before the live
one) and the reason, which is required. Before the live pointer moves, the version is compared with what was
published. Nothing is deleted, so a roll-back can be undone in the same way.
"""
_MARK_DOC = """### Mark a version as canary or pinned, or take the mark away.

Only a person starts it: **Trigger** opens a form with the model, the version, the mark and the reason. So do
the buttons on the version's page. A canary is served next to the live version, to clients that ask for it.
A pinned version is never pruned. The history of the live pointer keeps who did it and why.
"""
_PRUNE_DOC = """### Remove old versions, or list them.

Only a person starts it: **Trigger** opens a form with the model and how much to keep. Unless the form
says to remove them, a run only lists what would be removed, as its XCom. The live version, the one before it,
and those that are labelled or pinned always stay. So do the release records, which say who removed the files.
"""


def roll_back_model(dag_id: str = "roll_back_model", **dag_arguments: Any) -> DAG:
    """Make the DAG that makes a version live that was live before.

    Args:
        dag_id: The DAG's id.
        dag_arguments: Other arguments of `airflow.sdk.DAG`.

    Returns:
        The DAG; a file of the DAGs folder has to assign it to a variable.

    Example:
        >>> dag = roll_back_model()
    """
    return _dag(
        dag_id,
        "Make a version live that was live before",
        _ROLL_BACK_DOC,
        roll_back_form(),
        dag_arguments,
        RollBackOperator,
        task_id="roll_back",
        # If the first try moved the pointer, a second one is refused. The try itself retries if storage is
        # unavailable.
        retries=0,
        execution_timeout=timedelta(minutes=10),
    )


def mark_version(dag_id: str = "mark_version", **dag_arguments: Any) -> DAG:
    """Make the DAG that makes a version the canary, or pins it, or takes the mark away.

    Args:
        dag_id: The DAG's id.
        dag_arguments: Other arguments of `airflow.sdk.DAG`.

    Returns:
        The DAG; a file of the DAGs folder has to assign it to a variable.

    Example:
        >>> dag = mark_version(tags=["production"])
    """
    return _dag(
        dag_id,
        "Make a version the canary, or pin it, or take the mark away",
        _MARK_DOC,
        mark_form(),
        dag_arguments,
        MarkVersionOperator,
        task_id="mark",
        # Setting a mark twice changes nothing.
        retries=2,
        retry_delay=timedelta(seconds=10),
        execution_timeout=timedelta(minutes=10),
    )


def prune_versions(dag_id: str = "prune_versions", **dag_arguments: Any) -> DAG:
    """Make the DAG that removes old versions of a model, or lists which would be removed.

    Args:
        dag_id: The DAG's id.
        dag_arguments: Other arguments of `airflow.sdk.DAG`.

    Returns:
        The DAG; a file of the DAGs folder has to assign it to a variable.

    Example:
        >>> dag = prune_versions(dag_id="clean_up")
    """
    return _dag(
        dag_id,
        "Remove old versions of a model, or list which would go",
        _PRUNE_DOC,
        prune_form(),
        dag_arguments,
        PruneOperator,
        task_id="prune",
        # The next try resumes a prune that was stopped.
        retries=2,
        retry_delay=timedelta(seconds=30),
        execution_timeout=timedelta(hours=2),
    )


def _dag(
    dag_id: str,
    description: str,
    doc: str,
    form: dict[str, Param],
    dag_arguments: Mapping[str, Any],
    operator: type[StageOperator],
    **task_arguments: Any,
) -> DAG:
    """A DAG of one task, whose operator takes each field of the form under its name."""
    with make_dag(
        dag_id,
        form,
        dag_arguments,
        description=description,
        doc_md=doc,
        tags=["redraw", "publication"],
        # Only a person starts it, and it must not be paused when it is needed.
        is_paused_upon_creation=False,
        default_args={"on_failure_callback": announce_failure},
    ) as dag:
        values = fields(dag, *(name for name in form if name != "model"))
        operator(model=MODEL, pre_execute=checked_by(), **values, **task_arguments)
    return dag
