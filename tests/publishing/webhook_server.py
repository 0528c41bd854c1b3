"""A server that takes webhooks, well or badly: the path of a URL says how."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cloudevents.core.bindings.http import HTTPMessage, from_http_event

__all__ = ["SECRET", "Received", "WebhookServer", "run_webhook_server"]

SECRET = "whsec_" + base64.b64encode(b"a key of the receiver").decode()


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    def event(self) -> Any:
        """The event, as the CNCF's own library reads it."""
        return from_http_event(HTTPMessage(headers=self.headers, body=self.body))

    def is_signed(self, key: bytes = b"a key of the receiver") -> bool:
        """Whether its signature is that of its id, time and body."""
        signed = b".".join(
            [self.headers["webhook-id"].encode(), self.headers["webhook-timestamp"].encode(), self.body]
        )
        expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        return hmac.compare_digest(expected, self.headers["webhook-signature"])


class WebhookServer(ThreadingHTTPServer):
    """Keeps what it receives; `/hang` and `/drip` end with the server."""

    daemon_threads = True

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), _Handler)
        self.received: list[Received] = []
        self.closing = threading.Event()
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: WebhookServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append(Received(self.path, headers, body))
        answer = self.path.strip("/").partition("/")[0]
        if answer == "hang":
            self.server.closing.wait()
        elif answer == "drip":
            for byte in b"HTTP/1.1 200 OK\r\nx: " + b"x" * 1000:
                self.wfile.write(bytes([byte]))
                if self.server.closing.wait(0.1):
                    return
        else:
            seen = sum(one.path == self.path for one in self.server.received)
            status = 204 if answer == "ok" or (answer == "flaky" and seen > 2) else 500
            self.send_response(int(answer) if answer.isdecimal() else status)
            if answer == "429":
                self.send_header("retry-after", self.path.rpartition("/")[2])
            if answer.startswith("30"):
                self.send_header("location", f"{self.server.url}/ok/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def run_webhook_server(host: str = "127.0.0.1") -> Iterator[WebhookServer]:
    """A running server."""
    server = WebhookServer(host)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
