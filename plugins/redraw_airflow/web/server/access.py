"""Who may see the pages, and who may act: Airflow's own users, by their rights on the DAGs.

The browser sends Airflow's cookie along by itself, to whatever page asks for it: what changes
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

# Versions whose records say which DAGs publish a model.
_RECENT = 20
# By the DAG in the address: its runs' tabs show what its tasks have left.
run_reading_user = requires_access_dag("GET", DagAccessEntity.XCOM)


def releasing_dags(rows: Iterable[VersionRow]) -> frozenset[str]:
    """The DAGs whose runs published versions, by their release records."""
    runs = (row.dag_run.partition("/") for row in rows if row.dag_run)
    return frozenset(dag_id for dag_id, _, run_id in runs if run_id)


def reading_user(request: Request, user: GetUserDep) -> None:
    """Demand the right to read a DAG that publishes the model of the address; a dependency of a route.

    The list of models, which is of none, shows those that the user may read.

    Raises:
        HTTPException: 401 without a user, 403 without the right.
    """
    model = request.path_params.get("model")
    if model is not None:
        _demand(any(is_allowed(user, "GET", dag_id) for dag_id in _publishing_dags(model)), "read")


def acting_user(request: Request, user: GetUserDep) -> None:
    """Demand the right to start a DAG that publishes the model; raises as `reading_user`."""
    dag_ids = _publishing_dags(request.path_params["model"])
    _demand(any(is_allowed(user, "POST", dag_id, DagAccessEntity.RUN) for dag_id in dag_ids), "start")


def _publishing_dags(model: str) -> Iterator[str]:
    """Those of the setting; then, only if somebody goes on asking, those that have published the model."""
    yield from PUBLISHING_DAGS.read()
    try:
        yield from releasing_dags(model_browser().versions(ModelName(model), limit=_RECENT).rows)
    except InvalidName:
        return


def _demand(allowed: bool, what: str) -> None:
    if not allowed:
        dag_ids = ", ".join(PUBLISHING_DAGS.read())
        raise HTTPException(
            403,
            f"expected the right to {what} one of the DAGs {dag_ids}, or one that has published the model,"
            " found none.",
        )


def reads_every_model(request: Request) -> bool:
    """Whether who asks may read every model, whatever DAGs have published it."""
    return any(may_read(request, dag_id) for dag_id in PUBLISHING_DAGS.read())


def readable_models(
    request: Request, models: Sequence[ModelRow], left: Callable[[str], Collection[str]]
) -> tuple[ModelRow, ...]:
    """The models of a list that who asks may read.

    Args:
        request: What is answered.
        models: All that there are.
        left: The DAGs that did something with a model: they count for a model without versions.

    Raises:
        HTTPException: 403: there are models, and they may read none.
    """
    if reads_every_model(request):
        return tuple(models)
    found = tuple(
        model
        for model in models
        if any(
            may_read(request, dag_id)
            for dag_id in (releasing_dags(model.recent) if model.versions else left(model.name))
        )
    )
    _demand(bool(found), "read")
    return found


def may_read(request: Request, dag_id: str) -> bool:
    """Whether who asks may read a DAG."""
    user = getattr(request.state, "redraw_user", None)
    return user is not None and is_allowed(user, "GET", dag_id)


def keep_user(request: Request, user: GetUserDep) -> None:
    """Remember who asks, for `may_run`; a dependency of every page."""
    request.state.redraw_user = user


def may_run(request: Request, dag_id: str) -> bool:
    """Whether a DAG exists in this Airflow and who asks may start it; a page offers nothing else.

    Airflow's API decides again when they do it.
    """
    user = getattr(request.state, "redraw_user", None)
    if user is None or not dag_exists(dag_id):
        return False
    return is_allowed(user, "POST", dag_id, DagAccessEntity.RUN)


def may_clear(request: Request, dag_id: str) -> bool:
    """Whether who asks may have the tasks of a DAG's runs run again."""
    user = getattr(request.state, "redraw_user", None)
    return user is not None and is_allowed(user, "PUT", dag_id, DagAccessEntity.TASK_INSTANCE)


def may_publish(request: Request) -> bool:
    """Whether who asks may start one of the DAGs that publish the model of the address."""
    return any(may_run(request, dag_id) for dag_id in _publishing_dags(request.path_params["model"]))


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


def offers_trials() -> bool:
    """Whether users may ask published versions from their pages: where `REDRAW_TRY_IT` is 1.

    A trial runs a model on the API server's machine, so the owner of that machine decides. A page is shown
    without the box if the setting has a wrong type; a trial itself is answered with the error.
    """
    try:
        return TRY_IT.read()
    except InvalidSetting as err:
        _logger.warning("trials are not offered: %s", err)
        return False
