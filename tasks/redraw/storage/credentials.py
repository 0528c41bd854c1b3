"""A stage's socket to the operator that started it: credentials, and a sign of life.

An operator passes one end of a socket in `REDRAW_CONTROL_FD`. Through it the stage asks for short-lived
access tokens, so that no key is on its disk or in its environment, its arguments or its log. When the socket
closes, the operator is dead, and the stage ends with all processes it started. A stage that is run by hand
has no socket and uses the credentials that Google's libraries find. A program with credentials of its own,
such as Airflow's API server, passes them to `using_credentials`.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from redraw.errors import StorageUnavailable, error_named
from redraw.settings import USER_PROJECT, take_control_fd

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_ANSWER_SECONDS = 180.0

_Provider = Callable[[], "Credentials | None"]
_Project = Callable[[], str | None]
_scoped: ContextVar[tuple[str, _Provider, _Project | None] | None] = ContextVar("credentials", default=None)


@contextmanager
def using_credentials(name: str, provider: _Provider, project: _Project | None = None) -> Iterator[None]:
    """Ask `provider` for the credentials of buckets that are opened within the block.

    Args:
        name: The owner of the credentials; buckets that are opened with the same name share connections.
        provider: Called once for each name. Returns the credentials, or None to use Google's own search;
            raises `StorageForbidden` or `StorageUnavailable` if there are none.
        project: Returns the project that pays for requests, or None.
    """
    token = _scoped.set((name, provider, project))
    try:
        yield
    finally:
        _scoped.reset(token)


def credentials_scope() -> str:
    """The owner of the credentials that open the next bucket; empty for the process's own."""
    scoped = _scoped.get()
    return "" if scoped is None else scoped[0]


def watch_parent() -> None:
    """Watch the operator that started this process, and end with it.

    A daemon thread reads the socket that `REDRAW_CONTROL_FD` names. The variable is removed and the socket is
    not inherited, so that no child process keeps it open. Without the variable nothing happens.
    """
    _channel()


def storage_credentials() -> Credentials | None:
    """The credentials for buckets that the operator's connection grants.

    Returns:
        Credentials that ask the operator for the next token when one expires, `AnonymousCredentials` for an
        anonymous connection, or None to use Google's own search: without an operator, or without a
        connection. Within `using_credentials`, the provider's result.

    Raises:
        StorageForbidden: The connection gives no credentials; the message says why.
        StorageUnavailable: The token's issuer, or the operator, did not answer.
    """
    scoped = _scoped.get()
    if scoped is not None:
        return scoped[1]()
    channel = _channel()
    if channel is None:
        return None
    granted = channel.ask(renew=False)
    if granted["kind"] == "default":
        return None
    if granted["kind"] == "anonymous":
        from google.auth.credentials import AnonymousCredentials

        return AnonymousCredentials()
    return _token_credentials(channel, granted)


def billed_project() -> str | None:
    """The project that pays for requests to requester-pays buckets, if one is configured.

    It comes from `REDRAW_USER_PROJECT`, or else from the operator's connection.

    Raises:
        StorageForbidden: The connection gives no credentials.
        StorageUnavailable: The operator did not answer.
    """
    if project := USER_PROJECT.read():
        return project
    scoped = _scoped.get()
    if scoped is not None:
        return scoped[2]() if scoped[2] else None
    channel = _channel()
    return None if channel is None else channel.ask(renew=False).get("user_project")


def ask_operator(question: dict[str, Any]) -> dict[str, Any] | None:
    """Ask the operator that started this process a question; None without an operator.

    Raises:
        StorageUnavailable: It did not answer.
        RedrawError: It answered with this error.
    """
    channel = _channel()
    return None if channel is None else channel.ask(**question)


def _token_credentials(channel: _Channel, granted: dict[str, Any]) -> Credentials:
    from google.oauth2.credentials import Credentials as TokenCredentials

    def renew(request: object, scopes: object) -> tuple[str, datetime]:
        renewed = channel.ask(renew=True)
        return renewed["token"], _expiry(renewed)

    return TokenCredentials(
        token=granted["token"],
        expiry=_expiry(granted),
        refresh_handler=renew,
        quota_project_id=granted["quota_project"],
    )


def _expiry(granted: dict[str, Any]) -> datetime:
    """Naive UTC, as google-auth expects it; in an hour if the issuer gives no expiry."""
    if granted["expiry"] is None:
        return datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
    return datetime.fromisoformat(granted["expiry"])


@functools.cache
def _channel() -> _Channel | None:
    number = take_control_fd()
    return None if number is None else _Channel(number)


class _Channel:
    """The stage's end of the socket: it sends questions, and one thread reads the answers."""

    def __init__(self, number: int) -> None:
        os.set_inheritable(number, False)
        self._socket = socket.socket(fileno=number)
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        threading.Thread(target=self._read, name="redraw-control", daemon=True).start()

    def ask(self, **question: Any) -> dict[str, Any]:
        """Ask for a webhook, or for credentials; `renew` demands a new token."""
        with self._lock:
            number = next(self._numbers)
            self._socket.sendall(json.dumps({"id": number, **question}, allow_nan=False).encode() + b"\n")
            answer = self._answer(number)
        if "error" in answer:
            raise error_named(answer["error"])(answer["message"])
        return answer

    def _answer(self, number: int) -> dict[str, Any]:
        try:
            while (answer := self._answers.get(timeout=_ANSWER_SECONDS))["id"] != number:
                continue  # the late answer to a question that timed out
        except queue.Empty as err:
            raise StorageUnavailable(
                f"credentials: expected a token from the Airflow worker within {_ANSWER_SECONDS:g} s, got"
                " none. Make sure that the worker can reach the token issuer of the connection, then run"
                " the task again."
            ) from err
        return answer

    def _read(self) -> None:
        try:
            with self._socket.makefile("rb") as lines:
                for line in lines:
                    self._answers.put(json.loads(line))
        finally:
            _end_process_group()


def _end_process_group() -> None:
    """Kill this process and its children, because nobody is left to use the result."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
