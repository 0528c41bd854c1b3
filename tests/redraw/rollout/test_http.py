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
from redraw.rollout.client import NotReached
from redraw.rollout.http import HttpAddress, ask_http


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
