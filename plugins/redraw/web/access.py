"""Who may see the pages, and who may act: Airflow's own users, by their rights on the DAGs.

The browser sends Airflow's cookie along by itself, to whatever page asks for it: what changes
or starts something has to come from one of these pages.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["PUBLISHING_DAG", "SameSiteOnly", "acting_user", "reading_user", "run_reading_user"]

PUBLISHING_DAG = "retrain_and_export"

# As dependencies of a route: 401 without a user, 403 without the right.
reading_user = requires_access_dag("GET", param_dag_id=PUBLISHING_DAG)
# By the DAG in the address: its runs' tabs show what its tasks have left.
run_reading_user = requires_access_dag("GET", DagAccessEntity.XCOM)
acting_user = requires_access_dag("POST", DagAccessEntity.RUN, param_dag_id=PUBLISHING_DAG)

_SAFE = {"GET", "HEAD", "OPTIONS"}


class SameSiteOnly:
    """Refuses what another site's page has a user's browser send."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 403."""
        if scope["type"] == "http" and scope["method"] not in _SAFE and not _is_own(Headers(scope=scope)):
            refusal = "expected a request of one of these pages, got one of another site."
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_own(headers: Headers) -> bool:
    """Whether a page of this server sends it, or a program that names its user in the request."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is not None:
        return urlsplit(origin).netloc == headers.get("host")
    return site == "same-origin" or headers.get("authorization", "").lower().startswith("bearer ")
