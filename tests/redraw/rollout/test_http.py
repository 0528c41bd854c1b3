from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from redraw.rollout import http
from redraw.rollout.client import BadAnswer, NotReached
from redraw.rollout.http import HttpAddress, Reply, ask_http, error_of


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"here": true}')

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of a server with a certificate for models.example, which this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "models.example")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("models.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def ask(host: str, port: int) -> object:
    where = HttpAddress(host=host, port=port, address="127.0.0.1", secure=True)
    return ask_http(where, "/", seconds=10.0).value


def test_ask_by_tls_demands_the_name_that_was_asked_for(port: int) -> None:
    assert ask("models.example", port) == {"here": True}
    with pytest.raises(NotReached, match="certificate"):
        ask("other.example", port)


def test_ask_by_tls_of_a_certificate_that_nobody_trusts_is_refused(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(NotReached, match="certificate"):
        ask("models.example", port)


class _StatusHandler(_Handler):
    """Answers with the status that is the path, and 10 bytes: JSON, but for 500."""

    def do_GET(self) -> None:
        self.send_response(int(self.path[1:]))
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(b"no JSON..." if self.path == "/500" else b'{"a":   1}')


@pytest.fixture(scope="module")
def plain() -> Iterator[HttpAddress]:
    """A server without a certificate."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _StatusHandler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield HttpAddress(host="h", port=server.server_address[1], address="127.0.0.1", secure=False)
        server.shutdown()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_ask_of_a_server_that_starts_or_is_busy_is_as_if_it_were_not_there(
    status: int, plain: HttpAddress
) -> None:
    with pytest.raises(NotReached, match=f"^HTTP status {status}$"):
        ask_http(plain, f"/{status}", seconds=10.0)


@pytest.mark.parametrize("status", [300, 302, 399])
def test_ask_that_is_redirected_goes_nowhere(status: int, plain: HttpAddress) -> None:
    with pytest.raises(BadAnswer, match="a redirect to /elsewhere, which is not followed"):
        ask_http(plain, f"/{status}", seconds=10.0)


@pytest.mark.parametrize(
    ("status", "value"), [(200, {"a": 1}), (299, {"a": 1}), (400, {"a": 1}), (500, None), (501, {"a": 1})]
)
def test_ask_gives_any_other_status_with_its_json(status: int, value: object, plain: HttpAddress) -> None:
    assert ask_http(plain, f"/{status}", seconds=10.0, most=10) == Reply(status=status, value=value)
    with pytest.raises(BadAnswer, match="an answer of more than 9 bytes"):
        ask_http(plain, f"/{status}", seconds=10.0, most=9)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"error": "no such model"}, "no such model"),
        ({"error": {"message": "no such endpoint"}}, "no such endpoint"),
        ({"error": {"code": 5}}, "no reason"),
        ({}, "no reason"),
        (["error"], "no reason"),
    ],
)
def test_error_of_a_reply_is_what_the_server_says(value: object, said: str) -> None:
    assert said in error_of(Reply(status=400, value=value))


def test_ask_whose_time_is_up_before_it_is_connected_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect, up = socket.create_connection, threading.Event()
        cut = http._Connection.cut

        def late(*arguments: Any) -> socket.socket:
            assert up.wait(10.0)
            return connect(*arguments)

        def cutting(connection: http._Connection) -> None:
            cut(connection)
            up.set()

        monkeypatch.setattr(socket, "create_connection", late)
        monkeypatch.setattr(http._Connection, "cut", cutting)
        where = HttpAddress(host="h", port=server.getsockname()[1], address="127.0.0.1", secure=False)
        with pytest.raises(NotReached, match=r"no answer within 0\.05 s"):
            ask_http(where, "/", seconds=0.05)
        accepted, _ = server.accept()
        with accepted:
            assert accepted.recv(100) == b""
