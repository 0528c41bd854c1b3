"""What a page answers that cannot be shown: the error's own line, with a status that fits."""

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
    """The status that fits an error."""
    found = (status for kinds, status in _STATUSES.items() if isinstance(err, kinds))
    # What a bucket or a definition holds may be malformed: that is no fault of this server's.
    return next(found, 502)
