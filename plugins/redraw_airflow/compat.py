"""Private and undocumented APIs of Airflow and its providers, and what differs between its releases.

One function for each use; each says which version ends it. tests/redraw_airflow/test_compat.py fails when one
of them changes. Airflow itself is imported within the functions: Airflow loads this module while it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

__all__ = ["airflow_configuration", "rendered_name", "was_killed"]


def airflow_configuration() -> Any:
    """Airflow's configuration, in any of its processes.

    A task's process should import nothing of Airflow's core, so the Task SDK has its own since Airflow 3.2.
    Airflow 3.1 has that of the core alone; the second import ends with its support.
    """
    try:
        from airflow.sdk.configuration import conf
    except ImportError:
        from airflow.configuration import conf
    return conf


def rendered_name(operator: KubernetesPodOperator) -> str:
    """A pod's name with what its template gave, in the form that Kubernetes takes.

    The operator sets it in `execute`, which a stage does not run: it calls `execute_sync` or `execute_async`.
    It ends with a stage that is a subclass's `execute`.
    """
    return str(operator._set_name(operator.name))


def was_killed(operator: KubernetesPodOperator) -> bool:
    """Whether the operator's `on_kill` has deleted the pod; no public attribute says it."""
    return bool(operator._killed)
