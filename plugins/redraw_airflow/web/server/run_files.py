"""The files that a run has left in the work folder or the folder of reports: what a page shows of them.

Where they are says an XCom, which anyone who runs a task may write. So only files of that very run are read,
in folders that this server's own settings name, and no more bytes than a version's page would show.
"""

from __future__ import annotations

import functools
import os
import stat

from redraw.errors import InvalidRequest, VersionNotFound
from redraw.names import ModelName
from redraw.publish.bucket.layout import ATTACHMENT_BYTES
from redraw.storage.credentials import provide_credentials
from redraw.storage.opening import read_uri
from redraw.uri import Uri
from redraw_airflow.operators.inputs import run_folder_name
from redraw_airflow.settings import ALLOWED_WORK, REPORTS, WEB_CONNECTION, WORK
from redraw_airflow.stages.credentials import connection_credentials, connection_project

__all__ = ["read_run_file"]


def read_run_file(
    uri: Uri, model: ModelName, dag_id: str, run_id: str, most: int = ATTACHMENT_BYTES
) -> bytes:
    """Read a file of a run.

    Args:
        uri: The file, as a record of the run names it.
        model: The definition's name.
        dag_id: The DAG's.
        run_id: Airflow's.
        most: The largest file, in bytes; of one that is parsed, `PARSED_BYTES`.

    Raises:
        InvalidRequest: It lies elsewhere, or is too large or no file.
        VersionNotFound: It is gone, or this server does not see the folder.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    below = f"{model}/{run_folder_name(dag_id, run_id)}"
    roots = [root for root in _roots() if uri.startswith(f"{root}/{below}/")]
    if not roots:
        raise InvalidRequest(
            f"{uri}: expected a file of this run in a folder that this server knows, got another place. Set"
            f" {REPORTS.variable} or {WORK.variable} for the API server as for the workers."
        )
    folder = f"{os.path.realpath(roots[0])}/{below}/"
    content = _read_object(uri, most) if uri.is_bucket else _read_local(uri, folder, most)
    if content is None:
        raise VersionNotFound(
            f"{uri}: expected the file that the run has left, got none. It was removed, or lies on a worker"
            f" that shares no disk with this server: set {REPORTS.variable} to a bucket."
        )
    if len(content) > most:
        raise InvalidRequest(f"{uri}: expected at most {most} bytes, got more. Copy it to look at it.")
    return content


def _roots() -> list[str]:
    """The folders that the settings name; `*` names none that a page would read."""
    named = (REPORTS.read(), WORK.read(), *ALLOWED_WORK.read())
    return [root.rstrip("/") for root in named if root and root != "*"]


def _read_object(uri: Uri, most: int) -> bytes | None:
    connection = WEB_CONNECTION.read()
    provide_credentials(
        functools.partial(connection_credentials, connection),
        functools.partial(connection_project, connection),
    )
    return read_uri(uri, most + 1)


def _read_local(uri: Uri, folder: str, most: int) -> bytes | None:
    """A regular file in that folder, wherever links on the way lead."""
    path = os.path.realpath(uri)
    if not path.startswith(folder):
        return None
    try:
        # Not blocking: a pipe would wait for who writes into it.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(handle, "rb") as file:
        regular = stat.S_ISREG(os.fstat(handle).st_mode)
        return file.read(most + 1) if regular else None
