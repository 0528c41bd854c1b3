"""Credentials from an Airflow connection: for stages, over a socket, and for this process itself.

A thread answers the stage's requests while the stage runs. So a long upload can renew its token, and the key
never leaves this process. `redraw.storage.credentials` is the other end of the socket. A lock guards
Airflow's channel to its supervisor, so the thread may look up connections.

Google's libraries are imported at the first request for a token, because an anonymous or absent connection
does not need them.
"""

from __future__ import annotations

import contextvars
import functools
import hashlib
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from redraw.errors import RedrawError, StorageForbidden, StorageUnavailable
from redraw.storage.credentials import using_credentials
from redraw_airflow.settings import DEFAULT_CONNECTION
from redraw_airflow.stages.webhooks import grant_webhook

log = logging.getLogger(__name__)


@contextmanager
def answer_credentials(gcp_conn_id: str) -> Iterator[socket.socket]:
    """Answer a stage's requests for credentials while the block runs.

    Args:
        gcp_conn_id: The Airflow connection whose credentials the stage gets.

    Yields:
        The stage's end of the socket; close it here once the stage has inherited it.
    """
    own_end, stage_end = socket.socketpair()
    # A thread starts with an empty context, but Airflow stores the task's data there.
    serve = contextvars.copy_context().run
    thread = threading.Thread(
        target=serve, args=(_serve, own_end, gcp_conn_id), name="redraw-credentials", daemon=True
    )
    thread.start()
    try:
        yield stage_end
    finally:
        stage_end.close()
        with suppress(OSError):  # no longer connected: the stage has ended
            own_end.shutdown(socket.SHUT_RDWR)
        own_end.close()


@contextmanager
def using_connection(gcp_conn_id: str) -> Iterator[None]:
    """Open buckets with a connection's current credentials within the block.

    Raises:
        StorageForbidden: The connection does not exist or cannot be read; the message says why.
    """
    grants = Grants(gcp_conn_id)
    with using_credentials(grants.scope(), grants.credentials, grants.user_project):
        yield


def _serve(own_end: socket.socket, gcp_conn_id: str) -> None:
    grants = Grants(gcp_conn_id)
    try:
        with own_end.makefile("rb") as questions:
            for line in questions:
                question = json.loads(line)
                answer = {"id": question["id"], **_answer(grants, question)}
                own_end.sendall(json.dumps(answer, allow_nan=False).encode() + b"\n")
    except OSError as err:
        log.debug("the stage ended before it got an answer: %s", err)


def _answer(grants: Grants, question: dict[str, Any]) -> dict[str, Any]:
    try:
        with _naming(grants.gcp_conn_id):
            if "webhook" in question:
                return grant_webhook(question["webhook"])
            return {**grants.grant(renew=question["renew"]), "user_project": grants.user_project()}
    except RedrawError as err:
        return {"error": type(err).__name__, "message": str(err)}


@contextmanager
def _naming(gcp_conn_id: str) -> Iterator[None]:
    """Turn any error of a connection or a secrets backend into one of Redraw that names the connection."""
    try:
        yield
    except RedrawError:
        raise
    except Exception as err:
        raise StorageForbidden(_refusal(gcp_conn_id, err)) from err


def _refusal(gcp_conn_id: str, err: Exception) -> str:
    # Google's errors also contain the response's body, and an OSError starts with its number.
    text = err.args[0] if err.args and isinstance(err.args[0], str) else err
    reason = f": {' '.join(str(text).split())[:300].removesuffix('.')}" if str(text).strip() else ""
    return (
        f"connection {gcp_conn_id!r}: expected credentials for Cloud Storage, got"
        f" {type(err).__name__}{reason}. Correct the connection, or grant its account access."
    )


class Grants:
    """The credentials of one connection, looked up at their first use."""

    def __init__(self, gcp_conn_id: str) -> None:
        self.gcp_conn_id = gcp_conn_id
        self._credentials: Any = None

    def scope(self) -> str:
        """The connection's name and a digest, which changes with the connection or its key's file.

        Raises:
            StorageForbidden: The connection cannot be read; the message says why.
        """
        with _naming(self.gcp_conn_id):
            connection = self._connection
            facts = [] if connection is None else [connection.get_uri(), *_key_files(connection)]
        return f"{self.gcp_conn_id}/{hashlib.sha256(repr(facts).encode()).hexdigest()}"

    def credentials(self) -> Any:
        """The connection's credentials; None if there is no connection."""
        with _naming(self.gcp_conn_id):
            return self._find_credentials()

    def _find_credentials(self) -> Any:
        connection = self._connection
        if connection is None:
            return None
        if not _is_anonymous(connection):
            return self._connect()
        if connection.password:
            from google.oauth2.credentials import Credentials

            return Credentials(connection.password)
        from google.auth.credentials import AnonymousCredentials

        return AnonymousCredentials()

    def grant(self, *, renew: bool) -> dict[str, Any]:
        """A token, or where else the stage gets credentials; `renew` reads the connection again."""
        if renew:
            self._credentials = None
            self.__dict__.pop("_connection", None)
        if self._credentials is None:
            connection = self._connection
            if connection is None:
                return {"kind": "default"}
            if _is_anonymous(connection):
                return _local_grant(connection)
            self._credentials = self._connect()
        self._refresh(renew=renew)
        credentials = self._credentials
        mask_secret(credentials.token)
        return {
            "kind": "token",
            "token": credentials.token,
            "expiry": credentials.expiry.isoformat() if credentials.expiry else None,
            "quota_project": getattr(credentials, "quota_project_id", None),
        }

    def user_project(self) -> str | None:
        """The project that pays for requests to buckets whose requesters pay."""
        connection = self._connection
        return None if connection is None else connection.extra_dejson.get("user_project") or None

    @functools.cached_property
    def _connection(self) -> Connection | None:
        """The connection; None if the default one does not exist."""
        try:
            return BaseHook.get_connection(self.gcp_conn_id)
        except AirflowNotFoundException as err:
            if self.gcp_conn_id == DEFAULT_CONNECTION:
                log.info("no connection %s: the stage uses Google's default credentials", DEFAULT_CONNECTION)
                return None
            raise StorageForbidden(
                f"connection {self.gcp_conn_id!r}: expected a Google Cloud connection, found none. Create"
                " the connection, or correct gcp_conn_id."
            ) from err

    def _connect(self) -> Any:
        from airflow.providers.google.common.hooks.base_google import GoogleBaseHook

        return GoogleBaseHook(gcp_conn_id=self.gcp_conn_id).get_credentials()

    def _refresh(self, *, renew: bool) -> None:
        from google.auth.credentials import TokenState
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.auth.transport.requests import Request

        if not renew and self._credentials.token_state is TokenState.FRESH:
            return
        try:
            self._credentials.refresh(Request())
        except GoogleAuthError as err:
            is_temporary = err.retryable or isinstance(err, TransportError)
            kind = StorageUnavailable if is_temporary else StorageForbidden
            raise kind(_refusal(self.gcp_conn_id, err)) from err


def _local_grant(connection: Connection) -> dict[str, Any]:
    """The grant for a server that stands in for Cloud Storage; the connection's password is its token."""
    if not connection.password:
        return {"kind": "anonymous"}
    mask_secret(connection.password)
    return {"kind": "token", "token": connection.password, "expiry": None, "quota_project": None}


def _is_anonymous(connection: Connection) -> bool:
    return bool(_extra(connection, "is_anonymous"))


def _key_files(connection: Connection) -> Iterator[tuple[str, int]]:
    """The files that a connection names, with their times: a key may be replaced in place."""
    for name in ("key_path", "credential_config_file"):
        path = _extra(connection, name)
        if isinstance(path, str):
            with suppress(OSError, ValueError):  # the hook says that it is missing
                yield path, os.stat(path).st_mtime_ns


def _extra(connection: Connection, name: str) -> Any:
    """A field as the Google provider reads it; older connections have a long prefix."""
    extra = connection.extra_dejson
    return extra.get(name, extra.get(f"extra__google_cloud_platform__{name}"))
