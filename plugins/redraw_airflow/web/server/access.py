"""Access to the pages and their actions: by Airflow's users and their rights on the DAGs.

The browser sends Airflow's cookie with every request, also from other sites' pages. So a request that changes
or starts something has to come from one of these pages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from redraw.errors import InvalidName, InvalidSetting
from redraw.names import ModelName
from redraw.publish.version_rows import ModelRow, VersionRow
from redraw_airflow.settings import PUBLISHING_DAGS, TRY_IT
from redraw_airflow.web.compat import DagAccessEntity, GetUserDep, dag_exists, is_allowed, requires_access_dag
from redraw_airflow.web.server.buckets import model_browser

_logger = logging.getLogger(__name__)

# So many of the last releases say which DAGs publish a model.
_RECENT = 20
# Checks the DAG in the address, because its runs' tabs show its tasks' XComs.
run_reading_user = requires_access_dag("GET", DagAccessEntity.XCOM)


def releasing_dags(rows: Iterable[VersionRow]) -> frozenset[str]:
    """The DAGs whose runs published versions, by their release records."""
    runs = (row.dag_run.partition("/") for row in rows if row.dag_run)
    return frozenset(dag_id for dag_id, _, run_id in runs if run_id)


def reading_user(request: Request, user: GetUserDep) -> None:
    """Demand the right to read a DAG that publishes the model in the address; a dependency of a route.

    The list of models has none in its address, and shows those that the user may read.

    Raises:
        HTTPException: 401 without a user, 403 without the right.
    """
    model = request.path_params.get("model")
    if model is not None:
        _demand(any(is_allowed(user, "GET", dag_id) for dag_id in _publishing_dags(model)), "read")


def acting_user(request: Request, user: GetUserDep) -> None:
    """Demand the right to start a DAG that publishes the model in the address.

    Raises:
        HTTPException: 401 without a user, 403 without the right.
    """
    dag_ids = _publishing_dags(request.path_params["model"])
    _demand(any(is_allowed(user, "POST", dag_id, DagAccessEntity.RUN) for dag_id in dag_ids), "start")


def _publishing_dags(model: str) -> Iterator[str]:
    """The DAGs of the setting, then, read only if needed, those that have published the model."""
    yield from PUBLISHING_DAGS.read()
    try:
        yield from releasing_dags(model_browser().versions(ModelName(model), limit=_RECENT).rows)
    except InvalidName:
        return


def _demand(allowed: bool, right: str) -> None:
    if not allowed:
        dag_ids = ", ".join(PUBLISHING_DAGS.read())
        raise HTTPException(
            403,
            f"expected the permission to {right} one of the DAGs {dag_ids}, or a DAG that has published the"
            " model, found none. Ask an administrator of Airflow for it.",
        )


def reads_every_model(request: Request) -> bool:
    """Whether the user may read every model, whichever DAG has published it."""
    return any(may_read(request, dag_id) for dag_id in PUBLISHING_DAGS.read())


def readable_models(
    request: Request, models: Sequence[ModelRow], related_dags: Callable[[str], Collection[str]]
) -> tuple[ModelRow, ...]:
    """The models of a list that the user may read.

    Args:
        request: The request.
        models: All models.
        related_dags: Returns the DAGs that did something with a model, for a model without versions.

    Raises:
        HTTPException: 403: the user may read none.
    """
    if reads_every_model(request):
        return tuple(models)
    readable = tuple(
        model
        for model in models
        if any(
            may_read(request, dag_id)
            for dag_id in (releasing_dags(model.recent) if model.versions else related_dags(model.name))
        )
    )
    _demand(bool(readable), "read")
    return readable


def may_read(request: Request, dag_id: str) -> bool:
    """Whether the user may read a DAG."""
    user = getattr(request.state, "redraw_user", None)
    return user is not None and is_allowed(user, "GET", dag_id)


def keep_user(request: Request, user: GetUserDep) -> None:
    """Remember the user for `may_run`; a dependency of every page."""
    request.state.redraw_user = user


def may_run(request: Request, dag_id: str) -> bool:
    """Whether a DAG exists in this Airflow and the user may start it, so that a page offers it.

    Airflow's API checks the right again when the user starts it.
    """
    user = getattr(request.state, "redraw_user", None)
    if user is None or not dag_exists(dag_id):
        return False
    return is_allowed(user, "POST", dag_id, DagAccessEntity.RUN)


def may_clear(request: Request, dag_id: str) -> bool:
    """Whether the user may clear the tasks of a DAG's runs, so that they run again."""
    user = getattr(request.state, "redraw_user", None)
    return user is not None and is_allowed(user, "PUT", dag_id, DagAccessEntity.TASK_INSTANCE)


def may_publish(request: Request) -> bool:
    """Whether the user may start one of the DAGs that publish the model in the address."""
    return any(may_run(request, dag_id) for dag_id in _publishing_dags(request.path_params["model"]))


_SAFE = {"GET", "HEAD", "OPTIONS"}


class SameSiteOnly:
    """Refuses requests that another site's page makes a user's browser send."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 403."""
        if (
            scope["type"] == "http"
            and scope["method"] not in _SAFE
            and not _is_same_site(Headers(scope=scope))
        ):
            refusal = (
                "expected a request from one of these pages, got a request from another site. Reload"
                " the page, and try again."
            )
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_same_site(headers: Headers) -> bool:
    """Whether a page of this server sends the request, or a program with a token."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is not None:
        return urlsplit(origin).netloc == headers.get("host")
    return site == "same-origin" or headers.get("authorization", "").lower().startswith("bearer ")


def offers_trials() -> bool:
    """Whether users may send requests to published versions from their pages: if `REDRAW_TRY_IT` is 1.

    A trial runs a model on the API server's machine, so the owner of that machine decides. If the setting is
    malformed, pages have no box for trials, and a trial is answered with the error.
    """
    try:
        return TRY_IT.read()
    except InvalidSetting as err:
        _logger.warning("trials are not offered: %s", err)
        return False
