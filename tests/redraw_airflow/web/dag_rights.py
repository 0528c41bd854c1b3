"""An auth manager with rights on single DAGs, as those have that companies run Airflow with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

__all__ = ["USERS", "DagRights"]

# User to role: the last three may do less than their roles say.
USERS: Mapping[str, str] = {
    "admin": "admin",
    "viewer": "viewer",
    # Has every right on the runs of this DAG, and none on others.
    "reexporter": "user",
    # Sees every DAG, and of no run what its tasks have left.
    "onlooker": "viewer",
    # Has every right on a DAG of their own, and none on others.
    "author": "user",
}
_ONLY_DAG = {"reexporter": "reexport_checkpoints", "author": "our_chain"}
_NO_XCOMS = {"onlooker"}


class DagRights(SimpleAuthManager):
    """Airflow's own, which knows only roles, with the rights of single users on single DAGs."""

    def is_authorized_dag(
        self,
        *,
        method: Any,
        user: Any,
        access_entity: DagAccessEntity | None = None,
        details: DagDetails | None = None,
    ) -> bool:
        """Whether a user may do something with a DAG, or with something of its runs."""
        only = _ONLY_DAG.get(user.username)
        if only is not None and (details is None or details.id != only):
            return False
        if user.username in _NO_XCOMS and access_entity is DagAccessEntity.XCOM:
            return False
        return super().is_authorized_dag(
            method=method, user=user, access_entity=access_entity, details=details
        )
