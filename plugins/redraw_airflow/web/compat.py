"""Private APIs of Airflow's API server and its database, which the pages need.

Airflow documents neither its auth manager's Python interface for plugins nor its tables. Its REST API offers
both, but a page would have to call it over HTTP from within the same process. Replace this module when
Airflow has a client for that (apache/airflow#68874). tests/redraw_airflow/web/test_compat.py fails if one of
these APIs changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity as DagAccessEntity
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.common.db.common import SessionDep as SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep as GetUserDep
from airflow.api_fastapi.core_api.security import requires_access_dag as requires_access_dag
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun as DagRun
from airflow.models.taskinstance import TaskInstance as TaskInstance
from airflow.models.xcom import XComModel as XComModel

from redraw_airflow.compat import airflow_configuration

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod


def is_allowed(user: Any, method: ResourceMethod, dag_id: str, entity: DagAccessEntity | None = None) -> bool:
    """Whether a user has a right on a DAG or on its runs and XComs; the DAG need not exist.

    Args:
        user: The value of `GetUserDep`.
        method: `GET` to read, `POST` to start.
        dag_id: The DAG.
        entity: Its runs, its XComs, …; None for the DAG itself.
    """
    teams = airflow_configuration().getboolean("core", "multi_team", fallback=False)
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id) if teams else None)
    return get_auth_manager().is_authorized_dag(
        method=method, access_entity=entity, details=details, user=user
    )


def dag_exists(dag_id: str) -> bool:
    """Whether Airflow has a DAG whose file is still there."""
    dag = DagModel.get_dagmodel(dag_id)
    return dag is not None and not dag.is_stale
