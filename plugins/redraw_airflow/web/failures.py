"""What a page answers that cannot be shown: the error's own line, with a status that fits."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from redraw.errors import (
    InvalidName,
    InvalidRecord,
    RedrawError,
    StorageError,
    StorageUnavailable,
    UnknownModel,
    VersionNotFound,
)
from redraw_airflow.web.pages import show_page
from redraw_airflow.web.server.errors import WorkerOverran, WorkersBusy

__all__ = ["answer_failures"]


def answer_failures(app: FastAPI) -> None:
    """Have the application answer expected errors with a page; a bug stays a 500 with its traceback."""
    app.add_exception_handler(RedrawError, _show_failure)


def _show_failure(request: Request, err: Exception) -> Response:
    return show_page(request, "failure.html", status=_status(err), message=str(err))


def _status(err: Exception) -> int:
    if isinstance(err, VersionNotFound | UnknownModel | InvalidName):
        return 404
    if isinstance(err, StorageUnavailable | WorkersBusy):
        return 503
    if isinstance(err, WorkerOverran):
        return 504
    # What a bucket holds may be malformed: that is no fault of this server's.
    return 502 if isinstance(err, StorageError | InvalidRecord) else 500
