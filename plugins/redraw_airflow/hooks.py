"""The connection type *Redraw model bucket*: places of models and checkpoints, with credentials."""

from __future__ import annotations

import importlib
import threading
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from redraw.errors import InvalidName, InvalidRequest, RedrawError
from redraw.storage.opening import Storage, open_storage
from redraw.uri import BucketUri, Uri
from redraw_airflow.stages.credentials import using_connection

_TYPE = "redraw"
# A person waits for the test button, so it has a shorter timeout than a stage.
_TEST_SECONDS = 10.0


class RedrawHook(BaseHook):
    """Open a model bucket and a checkpoint catalogue with a connection of type *Redraw model bucket*.

    Args:
        redraw_conn_id: The connection's id. Its fields are those of a Google Cloud connection, and `bucket`,
            `catalogue` and `user_project`. Operators take it as `gcp_conn_id`.

    Example:
        >>> RedrawHook("models").get_conn().folders()  # doctest: +SKIP
        ('churn', 'digits')
    """

    conn_name_attr = "redraw_conn_id"
    default_conn_name = "redraw_default"
    conn_type = _TYPE
    hook_name = "Redraw model bucket"

    def __init__(self, redraw_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.redraw_conn_id = redraw_conn_id

    def get_conn(self) -> Storage:
        """The model bucket, opened with the connection's credentials.

        Raises:
            InvalidRequest: The connection names no bucket.
            StorageForbidden: The connection has no usable credentials; the message says why.
        """
        if not (bucket := self.place("bucket")):
            raise InvalidRequest(
                f"{self._where('bucket')}: expected gs://BUCKET, got none. Fill in this"
                " field of the connection."
            )
        try:
            return self._open(BucketUri(bucket))
        except InvalidName as err:
            raise InvalidRequest(f"{self._where('bucket')}: {err}") from err

    def place(self, name: str) -> str | None:
        """The value of the connection's field `bucket` or `catalogue`; None if it is empty."""
        value = self.get_connection(self.redraw_conn_id).extra_dejson.get(name)
        return str(value).strip() or None if value else None

    def test_connection(self) -> tuple[bool, str]:
        """List the places that the connection names; the form's test button calls this.

        Returns:
            Whether all places can be listed, and one line about them.
        """
        # Import these before the timeout starts: the first import takes half of it.
        for module in ("airflow.providers.google.common.hooks.base_google", "redraw.storage.gcs"):
            importlib.import_module(module)

        result: Future[tuple[bool, str]] = Future()

        def run() -> None:
            try:
                result.set_result(self._list_places())
            except Exception as err:  # `result.result` raises it
                result.set_exception(err)

        # A daemon, because nothing can stop a name lookup.
        threading.Thread(target=copy_context().run, args=(run,), daemon=True).start()
        try:
            passed, message = result.result(_TEST_SECONDS)
        except TimeoutError:
            message = f"expected an answer within {_TEST_SECONDS:g} s, got none"
            return False, (
                f"this connection: {message}. Check the network between this machine and Cloud Storage."
            )
        # Airflow tests the connection under a made-up name.
        return passed, message.replace(self._where(), "this connection")

    def _list_places(self) -> tuple[bool, str]:
        try:
            bucket, catalogue = self.get_conn(), self.place("catalogue")
            lines = [f"{bucket.uri} can be listed: {_counted(bucket)}"]
            if catalogue:
                checkpoints = self._open(Uri(catalogue))
                lines.append(f"{checkpoints.uri} can be listed: {_counted(checkpoints)}")
        except RedrawError as err:
            message = " ".join(str(err).split())
            return False, message if message.startswith(self._where()) else f"{self._where()}: {message}"
        return True, "; ".join(lines)

    def _where(self, field: str = "") -> str:
        return f"connection {self.redraw_conn_id!r}{f': {field}' if field else ''}"

    def _open(self, uri: Uri) -> Storage:
        """Open a place; its client keeps the credentials."""
        with using_connection(self.redraw_conn_id):
            return open_storage(uri)


def _counted(storage: Storage) -> str:
    count = len(storage.folders())
    return f"{count} model{'' if count == 1 else 's'}"


def connection_place(conn_id: str, name: str) -> str | None:
    """The bucket or the catalogue of a connection; None if there is no such connection of Redraw's type."""
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None
    return RedrawHook(conn_id).place(name) if connection.conn_type == _TYPE else None
