"""The DAG that validates an export of an earlier run again, with waivers, and publishes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import DAG

from redraw_airflow.compat import dag_param
from redraw_airflow.dags.common import DEFAULTS, make_dag
from redraw_airflow.dags.forms import check_publication, checked_by, validate_form
from redraw_airflow.dags.retraining import add_publishing_tasks

_DOC = """### Validate an export again, and publish it.

    validate ─► approve ─► push

For a run whose validation failed by a check that may be waived: its tab **Redraw** has a button that fills in
the form. Nothing is trained or exported again. The report keeps the waivers and their reason. If the
definition asks for approval, so does this DAG.
"""


def validate_and_publish(
    dag_id: str = "validate_and_publish",
    *,
    default_args: Mapping[str, Any] | None = None,
    **dag_arguments: Any,
) -> DAG:
    """Make the DAG that validates the export of a failed run again and publishes it.

    Args:
        dag_id: The DAG's id.
        default_args: Arguments of its tasks that replace its own defaults.
        dag_arguments: Other arguments of `airflow.sdk.DAG`.

    Returns:
        The DAG; a file of the DAGs folder has to assign it to a variable.

    Raises:
        InvalidDefinition: There is no model to choose.

    Example:
        >>> dag = validate_and_publish()
    """
    with make_dag(
        dag_id,
        validate_form(),
        dag_arguments,
        description="Validate an export of an earlier run again, with waivers, and publish it",
        doc_md=_DOC,
        tags=["redraw", "publication"],
        # Only a person starts it, and it must not be paused when it is needed.
        is_paused_upon_creation=False,
        default_args={**DEFAULTS, **(default_args or {})},
    ) as dag:
        add_publishing_tasks(dag, dag_param(dag, "saved_model"), checked_by(check_publication))
    return dag
