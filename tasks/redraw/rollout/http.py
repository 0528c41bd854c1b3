"""Send one HTTP request to one address, with limits and without redirects, proxies or cookies."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from redraw.records.codec import JsonMismatch
from redraw.records.json_text import parse_json
from redraw.rollout.client import BadAnswer, NotReached, short_text

_MOST_STATUS = 1 << 20
# Statuses with which a gateway answers for a server that starts or restarts.
_PASSING = {429, 502, 503, 504}


@dataclass(frozen=True, kw_only=True)
class HttpAddress:
    """Where to connect: an address, and the name that the certificate must have."""

    host: str
    port: int
    address: str
    secure: bool


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A response: its status, and its JSON value; None if the body is no JSON."""

    status: int
    value: Any


def error_of(reply: Reply) -> str:
    """The error message in a response: TensorFlow Serving's text, or the message in Google's error."""
    error = reply.value.get("error") if isinstance(reply.value, Mapping) else None
    message = error.get("message") if isinstance(error, Mapping) else error
    return short_text(message or "no reason")


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was looked up before."""

    def __init__(self, where: HttpAddress, seconds: float) -> None:
        super().__init__(where.host, where.port, timeout=seconds)
        self._where = where
        # Kept here because the base class drops it once a response begins.
        self._socket: socket.socket | None = None
        self.late = threading.Event()

    def connect(self) -> None:
        """Connect, with TLS if the address requires it."""
        self.sock = self._socket = socket.create_connection((self._where.address, self.port), self.timeout)
        if self._where.secure:
            context = ssl.create_default_context()
            self.sock = self._socket = context.wrap_socket(self.sock, server_hostname=self._where.host)
        if self.late.is_set():  # the cut came before there was a socket to shut down
            raise TimeoutError

    def cut(self) -> None:
        """End reads and writes in other threads."""
        self.late.set()
        if self._socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def ask_http(
    where: HttpAddress,
    path: str,
    *,
    seconds: float,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    most: int = _MOST_STATUS,
) -> Reply:
    """Send a request, and read the JSON of its answer.

    Args:
        where: The server.
        path: The URL's path.
        seconds: The limit for the whole request.
        body: JSON to post; without it the request is a GET.
        headers: Additional headers.
        most: The largest size of a response in bytes.

    Raises:
        NotReached: The server is down, or did not answer in time.
        BadAnswer: It answered with a redirect, or with more than `most` bytes.
    """
    connection = _Connection(where, seconds)
    content = None if body is None else json.dumps(body, allow_nan=False).encode()
    all_headers = {"Content-Type": "application/json", "Connection": "close", **(headers or {})}
    try:
        with _ending(connection, seconds):
            connection.request("GET" if content is None else "POST", path, content, all_headers)
            response = connection.getresponse()
            if response.status in _PASSING:
                raise NotReached(f"HTTP status {response.status}")
            if 300 <= response.status < 400:
                to = short_text(response.getheader("Location", "nowhere"))
                raise BadAnswer(f"a redirect to {to}, which is not followed")
            received = response.read(most + 1)
    except TimeoutError as err:
        raise NotReached(f"no answer within {seconds:.3g} s") from err
    except (OSError, http.client.HTTPException) as err:
        raise NotReached(short_text(str(err) or type(err).__name__)) from err
    if len(received) > most:
        raise BadAnswer(f"an answer of more than {most} bytes")
    try:
        return Reply(status=response.status, value=parse_json(received, most))
    except JsonMismatch:
        return Reply(status=response.status, value=None)


@contextmanager
def _ending(connection: _Connection, seconds: float) -> Iterator[None]:
    """Cut the connection after so many seconds, because a server may send single bytes forever."""
    timer = threading.Timer(seconds, connection.cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException) as err:
        if connection.late.is_set():
            raise TimeoutError from err
        raise
    finally:
        timer.cancel()
        connection.close()
    if connection.late.is_set():
        raise TimeoutError
