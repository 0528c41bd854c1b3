"""The files of a run in the work folder or the folder of reports, for its tab.

An XCom says where they are, and anyone who runs a task may write it. So this module reads only files of the
same run, in folders that this server's own settings name, and no more bytes than a version's page would show.
"""

from __future__ import annotations

import os
import stat

from redraw.errors import InvalidRequest, VersionNotFound
from redraw.names import ModelName
from redraw.publish.bucket.layout import ATTACHMENT_BYTES
from redraw.storage.opening import read_uri
from redraw.uri import Uri
from redraw_airflow.operators.inputs import run_folder_name
from redraw_airflow.settings import ALLOWED_WORK, REPORTS, WEB_CONNECTION, WORK
from redraw_airflow.stages.credentials import using_connection


def read_run_file(
    uri: Uri, model: ModelName, dag_id: str, run_id: str, most: int = ATTACHMENT_BYTES
) -> bytes:
    """Read a file of a run.

    Args:
        uri: The file's URI in a record of the run.
        model: The definition's name.
        dag_id: The DAG's id.
        run_id: The run's id.
        most: The largest file, in bytes; `PARSED_BYTES` for one that is parsed.

    Raises:
        InvalidRequest: The file is in another place, or too large.
        VersionNotFound: The file was removed, or this server cannot read the folder.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    below = f"{model}/{run_folder_name(dag_id, run_id)}"
    roots = [root for root in _roots() if uri.startswith(f"{root}/{below}/")]
    if not roots:
        raise InvalidRequest(
            f"{uri}: expected a file of this run in {REPORTS.variable} or {WORK.variable}, got another"
            " path. Set these variables for the API server to the same values as for the workers."
        )
    folder = f"{os.path.realpath(roots[0])}/{below}/"
    content = _read_object(uri, most) if uri.is_bucket else _read_local(uri, folder, most)
    if content is None:
        raise VersionNotFound(
            f"{uri}: the file of this run is missing. It was removed, or it is on a worker's disk that this"
            f" server cannot read: set {REPORTS.variable} to a bucket."
        )
    if len(content) > most:
        raise InvalidRequest(f"{uri}: expected at most {most} bytes, got more. Download the file to read it.")
    return content


def _roots() -> list[str]:
    """The folders that the settings name; `*` adds no folder that a page would read."""
    settings = (REPORTS.read(), WORK.read(), *ALLOWED_WORK.read())
    return [root.rstrip("/") for root in settings if root and root != "*"]


def _read_object(uri: Uri, most: int) -> bytes | None:
    with using_connection(WEB_CONNECTION.read()):
        return read_uri(uri, most + 1)


def _read_local(uri: Uri, folder: str, most: int) -> bytes | None:
    """Read a regular file that is in the folder after links are resolved."""
    path = os.path.realpath(uri)
    if not path.startswith(folder):
        return None
    try:
        # Without blocking: a named pipe would wait for a writer.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(handle, "rb") as file:
        regular = stat.S_ISREG(os.fstat(handle).st_mode)
        return file.read(most + 1) if regular else None
