"""The answer if a page cannot be shown: the error's message, with a fitting status."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from redraw.errors import (
    InvalidName,
    InvalidRequest,
    InvalidSetting,
    MissingDependency,
    RedrawError,
    StorageUnavailable,
    UnknownModel,
    VersionNotFound,
)
from redraw_airflow.web.pages import show_page
from redraw_airflow.web.server.errors import WorkerOverran, WorkersBusy

_STATUSES: dict[tuple[type[RedrawError], ...], int] = {
    (VersionNotFound, UnknownModel, InvalidName): 404,
    (InvalidRequest,): 400,
    (StorageUnavailable, WorkersBusy, InvalidSetting, MissingDependency): 503,
    (WorkerOverran,): 504,
}


def answer_failures(app: FastAPI) -> None:
    """Have the application answer expected errors with a page; a bug stays a 500 with its traceback."""
    app.add_exception_handler(RedrawError, _show_failure)


def _show_failure(request: Request, err: Exception) -> Response:
    return show_page(request, "failure.html", status=status_of(err), message=str(err))


def status_of(err: Exception) -> int:
    """The HTTP status of an error."""
    statuses = (status for kinds, status in _STATUSES.items() if isinstance(err, kinds))
    # 502: a bucket's object or a definition may be malformed, which is not this server's fault.
    return next(statuses, 502)
