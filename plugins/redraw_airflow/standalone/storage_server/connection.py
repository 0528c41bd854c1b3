"""A connection of the storage server: access, timeouts and the form of answers."""

from __future__ import annotations

import hmac
import json
import re
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from redraw_airflow.standalone.storage_server.bodies import BadBody, Body
from redraw_airflow.standalone.storage_server.objects import OtherGeneration

# How long a connection may be silent before the client has shown the token, and after.
_STRANGER_SECONDS, IDLE_SECONDS = 10.0, 600.0
_MOST_CONNECTIONS = 512
# Headers that a browser adds to each request, and that a page's script cannot remove.
_BROWSER_HEADERS = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest")


class Refused(Exception):  # noqa: N818 - an answer to the client
    """The request is answered with an error.

    Args:
        status: The HTTP status.
        message: What was expected, and what was received.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class GuardedServer(ThreadingHTTPServer):
    """Serves clients that have the token, up to a limit of connections.

    Args:
        address: Host and port to listen on.
        handler: The class that answers a connection.
        token: The token that each request has to carry, in the header `Authorization: Bearer`.
        hosts: The names, with the port, that requests may be addressed to.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], handler: type[Connection], token: str, hosts: frozenset[str]
    ) -> None:
        self.expected = f"Bearer {token}".encode()
        self.hosts = hosts
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, unless the limit is reached."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the connection in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class Connection(BaseHTTPRequestHandler):
    """Reads requests of clients that have the token; a subclass answers them."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "redraw-storage", ""
    timeout = _STRANGER_SECONDS
    disable_nagle_algorithm = True
    server: GuardedServer

    def _serve(self) -> None:
        # While the length of the body is unknown, a refusal has to close the connection.
        self._body: Body | None = None
        try:
            self._demand_access()
            self.answer(self._take_body())
        except Refused as err:
            self._fail(err.status, str(err))
        except (BadBody, UnicodeError) as err:
            self._fail(HTTPStatus.BAD_REQUEST, str(err))
        except OtherGeneration as err:
            self._fail(HTTPStatus.PRECONDITION_FAILED, str(err))
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def answer(self, body: Body) -> None:
        """Answer the current request, which carries the token.

        Raises:
            Refused: The server does not answer such a request.
            BadBody: The body is malformed.
            OtherGeneration: The object has changed.
        """
        raise NotImplementedError

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - names that http.server calls

    def handle_expect_100(self) -> bool:
        """Refuse a client before it sends its body."""
        try:
            self._demand_access()
        except Refused as err:
            self._fail(err.status, str(err))
            return False
        return super().handle_expect_100()

    def _demand_access(self) -> None:
        if any(name in self.headers for name in _BROWSER_HEADERS):
            raise Refused(
                HTTPStatus.FORBIDDEN, "expected a request of a program, got a request of a web page"
            )
        if self.headers.get_all("Host") not in [[host] for host in self.server.hosts]:
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, "expected this server's own name, got another host")
        authorization = self.headers.get("Authorization", "").encode(errors="replace")
        if not hmac.compare_digest(authorization, self.server.expected):
            raise Refused(
                HTTPStatus.UNAUTHORIZED, "expected this instance's token, got none or another token"
            )
        self.connection.settimeout(IDLE_SECONDS)

    def _take_body(self) -> Body:
        lengths = self.headers.get_all("Content-Length", ["0"])
        if (
            "Transfer-Encoding" in self.headers
            or len(lengths) > 1
            or not re.fullmatch("[0-9]{1,15}", lengths[0])
        ):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "expected a body with Content-Length")
        self._body = Body(self.rfile, int(lengths[0]))
        return self._body

    def say(
        self, value: Any, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None
    ) -> None:
        """Answer with JSON, or with nothing."""
        content = b"" if value is None else json.dumps(value, allow_nan=False).encode()
        self.send_content(content, status, "application/json", headers)

    def send_content(
        self, content: bytes, status: HTTPStatus, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        """Answer with bytes of a content type."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    def _fail(self, status: HTTPStatus, message: str) -> None:
        """Answer with an error; if part of the body is unread, close the connection."""
        self.close_connection = self._body is None or self._body.unread > 0
        with suppress(OSError):
            headers = {"Connection": "close"} if self.close_connection else {}
            self.say({"error": {"code": int(status), "message": message}}, status, headers)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: thousands of requests would fill the disk."""
