"""A stage's line to the operator that started it: credentials, and a sign of life.

An operator that runs a stage leaves one end of a socket in `REDRAW_CONTROL_FD`. Over
it the stage asks for short-lived access tokens, so that no key reaches its disk, its
environment, its arguments or its log; and when it closes, the operator is dead, and
the stage ends with everything it started. A stage run by hand has no such socket and
takes the credentials that Google's libraries find by themselves. A program that has
credentials itself, as Airflow's API server does, gives them with `using_credentials`.
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
        name: Whose they are; buckets that are opened under the same name share their connections.
        provider: Asked once a name. Answers as `storage_credentials`, and raises as it does.
        project: Answers as `billed_project`.
    """
    token = _scoped.set((name, provider, project))
    try:
        yield
    finally:
        _scoped.reset(token)


def credentials_scope() -> str:
    """Whose credentials the next bucket is opened with; empty for the process's own."""
    scoped = _scoped.get()
    return "" if scoped is None else scoped[0]


def watch_parent() -> None:
    """Watch the operator that started this process; end with it.

    A daemon thread reads the socket that `REDRAW_CONTROL_FD` names. The variable is
    removed and the socket made private, so that no child of this process holds it open.
    Without the variable nothing happens.
    """
    _channel()


def storage_credentials() -> Credentials | None:
    """The credentials for buckets that the operator's connection grants.

    Returns:
        Credentials that ask the operator for the next token when one expires,
        `AnonymousCredentials` for an anonymous connection, or None where Google's
        own search is to be used: without an operator, or without a connection. Where
        a provider was given, what it answers.

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
    """The project that pays for requests to buckets whose requesters pay, if one is named.

    `REDRAW_USER_PROJECT` says so, or else the operator's connection. Raises as `storage_credentials`.
    """
    if project := USER_PROJECT.read():
        return project
    scoped = _scoped.get()
    if scoped is not None:
        return scoped[2]() if scoped[2] else None
    channel = _channel()
    return None if channel is None else channel.ask(renew=False).get("user_project")


def ask_operator(question: dict[str, Any]) -> dict[str, Any] | None:
    """Ask the operator that started this process something else; None without an operator.

    Raises:
        StorageUnavailable: It did not answer.
        RedrawError: What it answered with.
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
    """Naive UTC, as google-auth wants it; an hour where the issuer names no end."""
    if granted["expiry"] is None:
        return datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
    return datetime.fromisoformat(granted["expiry"])


@functools.cache
def _channel() -> _Channel | None:
    number = take_control_fd()
    return None if number is None else _Channel(number)


class _Channel:
    """The stage's end of the socket: questions go out, one thread reads the answers."""

    def __init__(self, number: int) -> None:
        os.set_inheritable(number, False)
        self._socket = socket.socket(fileno=number)
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._asking = threading.Lock()
        self._numbers = itertools.count()
        threading.Thread(target=self._read, name="redraw-control", daemon=True).start()

    def ask(self, **question: Any) -> dict[str, Any]:
        """Ask for credentials, where `renew` refuses the token that was given before, or for a webhook."""
        with self._asking:
            number = next(self._numbers)
            self._socket.sendall(json.dumps({"id": number, **question}, allow_nan=False).encode() + b"\n")
            answer = self._answer(number)
        if "error" in answer:
            raise error_named(answer["error"])(answer["message"])
        return answer

    def _answer(self, number: int) -> dict[str, Any]:
        try:
            while (answer := self._answers.get(timeout=_ANSWER_SECONDS))["id"] != number:
                continue  # the late answer to a question that was given up
        except queue.Empty as err:
            raise StorageUnavailable(
                f"credentials: expected an answer of the operator within {_ANSWER_SECONDS:g} s, got none."
                " See whether the connection's token issuer can be reached, and run the task again."
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
    """Kill this process and what it started; nobody is left who could use the result."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
