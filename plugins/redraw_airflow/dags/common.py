"""What the DAGs have in common: their defaults, and how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param

from redraw_airflow.compat import dag_param
from redraw_airflow.dags.callbacks import announce_failure

# The model that the form names.
MODEL = "{{ params.model }}"
# For tasks that a retry may fix.
DEFAULTS: dict[str, Any] = {
    "on_failure_callback": announce_failure,
    "retries": 3,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=30),
    "execution_timeout": timedelta(hours=2),
}


def fields(dag: DAG, *names: str) -> dict[str, Any]:
    """Fields of the DAG's form, as the arguments of an operator that have the same names."""
    return {name: dag_param(dag, name) for name in names}


def make_dag(dag_id: str, form: dict[str, Param], dag_arguments: Mapping[str, Any], **defaults: Any) -> DAG:
    """Make a DAG without tasks.

    Args:
        dag_id: Its id.
        form: Its parameters.
        dag_arguments: Arguments of `airflow.sdk.DAG` that the caller sets.
        defaults: Arguments that apply unless the caller sets them.
    """
    arguments = {"schedule": None, "catchup": False, "max_active_runs": 1, **defaults, **dag_arguments}
    return DAG(dag_id, schedule=arguments.pop("schedule"), params=form, **arguments)
