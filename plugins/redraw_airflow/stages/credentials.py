"""Credentials out of an Airflow connection: for stages, by a socket, and for this process itself.

The stage asks, a thread answers, for as long as the stage runs: a long upload can so
renew its token, and the key never leaves this process. The other end of the line is
`redraw.storage.credentials`. Airflow's own line to its supervisor is guarded by a lock, so
connections may be looked up from this thread.

Google's libraries are imported when the first token is asked for, not before: an
anonymous or absent connection never pays for them.
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
    """Answer a stage's questions for credentials while the block runs.

    Args:
        gcp_conn_id: The Airflow connection that says who may write to the buckets.

    Yields:
        The stage's end of the socket; close it here once the stage has inherited it.
    """
    ours, theirs = socket.socketpair()
    # A thread starts with an empty context, but Airflow keeps what it knows of the task in it.
    serve = contextvars.copy_context().run
    thread = threading.Thread(
        target=serve, args=(_serve, ours, gcp_conn_id), name="redraw-credentials", daemon=True
    )
    thread.start()
    try:
        yield theirs
    finally:
        theirs.close()
        with suppress(OSError):  # not connected any more: the stage has ended
            ours.shutdown(socket.SHUT_RDWR)
        ours.close()


@contextmanager
def using_connection(gcp_conn_id: str) -> Iterator[None]:
    """Open buckets by a connection within the block, as it is now: a process has several, and they change.

    Raises:
        StorageForbidden: There is no such connection, or it cannot be read; the message says why.
    """
    grants = Grants(gcp_conn_id)
    with using_credentials(grants.scope(), grants.credentials, grants.user_project):
        yield


def _serve(ours: socket.socket, gcp_conn_id: str) -> None:
    grants = Grants(gcp_conn_id)
    try:
        with ours.makefile("rb") as questions:
            for line in questions:
                question = json.loads(line)
                answer = {"id": question["id"], **_answer(grants, question)}
                ours.sendall(json.dumps(answer, allow_nan=False).encode() + b"\n")
    except OSError as err:
        log.debug("the stage ended before it was answered: %s", err)


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
    """Whatever a connection or a secrets backend raises as an error of Redraw that names the connection."""
    try:
        yield
    except RedrawError:
        raise
    except Exception as err:
        raise StorageForbidden(_refusal(gcp_conn_id, err)) from err


def _refusal(gcp_conn_id: str, err: Exception) -> str:
    # Google's errors have the answer's body as well, and an OSError has its number first.
    text = err.args[0] if err.args and isinstance(err.args[0], str) else err
    reason = f": {' '.join(str(text).split())[:300].removesuffix('.')}" if str(text).strip() else ""
    return (
        f"connection {gcp_conn_id!r}: expected credentials for Cloud Storage, got {type(err).__name__}"
        f"{reason}. Correct the connection, or give its account access."
    )


class Grants:
    """The credentials of one connection, looked up when they are first asked for."""

    def __init__(self, gcp_conn_id: str) -> None:
        self.gcp_conn_id = gcp_conn_id
        self._credentials: Any = None

    def scope(self) -> str:
        """The connection's name, and a digest of what it says: another once it, or its key's file, changes.

        Raises:
            StorageForbidden: As `using_connection`.
        """
        with _naming(self.gcp_conn_id):
            connection = self._connection
            said = [] if connection is None else [connection.get_uri(), *_key_files(connection)]
        return f"{self.gcp_conn_id}/{hashlib.sha256(repr(said).encode()).hexdigest()}"

    def credentials(self) -> Any:
        """What the connection gives; None where there is none."""
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
        """Answer with a token, or with where else the stage looks; to renew reads the connection again."""
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
        granted = self._credentials
        mask_secret(granted.token)
        return {
            "kind": "token",
            "token": granted.token,
            "expiry": granted.expiry.isoformat() if granted.expiry else None,
            "quota_project": getattr(granted, "quota_project_id", None),
        }

    def user_project(self) -> str | None:
        """The project that pays for requests to buckets whose requesters pay."""
        connection = self._connection
        return None if connection is None else connection.extra_dejson.get("user_project") or None

    @functools.cached_property
    def _connection(self) -> Connection | None:
        """The connection; None where the default one does not exist."""
        try:
            return BaseHook.get_connection(self.gcp_conn_id)
        except AirflowNotFoundException as err:
            if self.gcp_conn_id == DEFAULT_CONNECTION:
                log.info("no connection %s: the stage takes Google's default credentials", DEFAULT_CONNECTION)
                return None
            raise StorageForbidden(
                f"connection {self.gcp_conn_id!r}: expected a Google Cloud connection, found none."
                " Create it, or correct gcp_conn_id."
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
            passing = err.retryable or isinstance(err, TransportError)
            kind = StorageUnavailable if passing else StorageForbidden
            raise kind(_refusal(self.gcp_conn_id, err)) from err


def _local_grant(connection: Connection) -> dict[str, Any]:
    """For a server that stands in for Cloud Storage: its token, if the connection has one as its password."""
    if not connection.password:
        return {"kind": "anonymous"}
    mask_secret(connection.password)
    return {"kind": "token", "token": connection.password, "expiry": None, "quota_project": None}


def _is_anonymous(connection: Connection) -> bool:
    return bool(_extra(connection, "is_anonymous"))


def _key_files(connection: Connection) -> Iterator[tuple[str, int]]:
    """The files that a connection names, and when each was written: a key is renewed in its place."""
    for name in ("key_path", "credential_config_file"):
        path = _extra(connection, name)
        if isinstance(path, str):
            with suppress(OSError, ValueError):  # the hook says that it is missing
                yield path, os.stat(path).st_mtime_ns


def _extra(connection: Connection, name: str) -> Any:
    """As the Google provider reads it; older connections carry its long prefix."""
    extra = connection.extra_dejson
    return extra.get(name, extra.get(f"extra__google_cloud_platform__{name}"))
