"""What the storage server refuses, and that nothing came of it; what it does, tests/redraw/storage says."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraw_airflow.standalone.settings import Settings, read_token
from redraw_airflow.standalone.storage_server.objects import Objects, is_safe_name
from redraw_airflow.standalone.storage_server.server import StorageServer

BUCKET = "redraw-models"
KEPT = "kept/object"
MULTIPART = b"--b\r\n\r\n%s\r\n--b\r\n\r\ncontent\r\n--b--\r\n"


class Client:
    """Requests with nothing in them but what a test says."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.host = f"127.0.0.1:{settings.gcs_port}"
        self.own = {"Host": self.host, "Authorization": f"Bearer {read_token(settings)}"}

    def ask(
        self, method: str, path: str, headers: list[tuple[str, str]] | dict[str, str], body: bytes = b""
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, content and headers of the answer."""
        connection = HTTPConnection("127.0.0.1", self.settings.gcs_port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items() if isinstance(headers, dict) else headers:
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read(), {name.lower(): text for name, text in answer.getheaders()}
        finally:
            connection.close()

    def names(self) -> set[str]:
        """What is in the bucket."""
        _, content, _ = self.ask("GET", f"/storage/v1/b/{BUCKET}/o", self.own)
        return {item["name"] for item in json.loads(content).get("items", ())}


@pytest.fixture(scope="module")
def client(own_storage: Settings) -> Client:
    client = Client(own_storage)
    path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={KEPT}"
    assert client.ask("POST", path, client.own, b"content")[0] == 200
    return client


@pytest.fixture
def unharmed(client: Client) -> Iterator[None]:
    """After the test the bucket is as it was, and nothing is next to it."""
    folder = client.settings.state
    before, files = client.names(), {path for path in folder.rglob("*") if "objects.db" not in path.name}
    yield
    assert client.names() == before
    assert {path for path in folder.rglob("*") if "objects.db" not in path.name} == files


def _servers(client: Client) -> list[psutil.Process]:
    file = str(client.settings.token_file)
    return [one for one in psutil.process_iter(["cmdline"]) if file in (one.info["cmdline"] or ())]


def _without(headers: dict[str, str], name: str, *others: tuple[str, str]) -> list[tuple[str, str]]:
    return [(key, value) for key, value in headers.items() if key != name] + list(others)


REQUESTS = {
    "list": ("GET", f"/storage/v1/b/{BUCKET}/o", b""),
    "read": ("GET", f"/download/storage/v1/b/{BUCKET}/o/kept%2Fobject?alt=media", b""),
    "write": ("POST", f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=new", b"content"),
    "delete": ("DELETE", f"/storage/v1/b/{BUCKET}/o/kept%2Fobject", b""),
    "copy": ("POST", f"/storage/v1/b/{BUCKET}/o/kept%2Fobject/rewriteTo/b/{BUCKET}/o/new", b""),
    "make a bucket": ("POST", "/storage/v1/b?project=a", b'{"name": "other-bucket"}'),
}


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize(
    ("replaced", "others", "status"),
    [
        ("Authorization", (), 401),
        ("Authorization", (("Authorization", "Bearer "),), 401),
        ("Authorization", (("Authorization", "Bearer " + 43 * "a"),), 401),
        ("", (("Origin", "http://localhost:4000"),), 403),
        ("", (("Origin", "null"),), 403),
        ("", (("Sec-Fetch-Site", "same-origin"),), 403),
        ("", (("Sec-Fetch-Mode", "no-cors"),), 403),
        ("Host", (), 421),
        ("Host", (("Host", "attacker.example"),), 421),
        ("Host", (("Host", "127.0.0.1"),), 421),
        ("", (("Host", "attacker.example"),), 421),
    ],
    ids=lambda value: str(value) if isinstance(value, (str, int)) else "+".join(map(": ".join, value)),
)
def test_request_of_somebody_else_is_refused(
    client: Client, request_name: str, replaced: str, others: tuple[tuple[str, str], ...], status: int
) -> None:
    method, path, body = REQUESTS[request_name]

    found, content, headers = client.ask(method, path, _without(client.own, replaced, *others), body)

    assert found == status
    assert b"content" not in content
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.usefixtures("unharmed")
def test_preflight_of_a_browser_allows_nothing(client: Client) -> None:
    asked = {"Host": client.host, "Origin": "http://a", "Access-Control-Request-Method": "DELETE"}

    status, _, headers = client.ask("OPTIONS", f"/storage/v1/b/{BUCKET}/o/a", asked)

    assert status == 501
    assert not [name for name in headers if name.startswith("access-control")]


HOSTILE_NAMES = (
    "..",
    "../a",
    "a/../b",
    "a/..",
    "../../dags/evil.py",
    ".",
    "./a",
    "a/./b",
    "/a",
    "//a",
    "a//b",
    "/",
    "//",
    "a\nb",
    "a\0b",
    "\x1b[2J",
    "a\x7f",
    "a\x85b",
    "",
    1025 * "a",
    513 * "ä",
)


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
@pytest.mark.parametrize("way", ["media", "multipart", "copy", "lone surrogate"])
def test_name_that_leads_elsewhere_is_refused(client: Client, name: str, way: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in name.encode())
    uploads = f"/upload/storage/v1/b/{BUCKET}/o?uploadType"
    if way == "media":
        answer = client.ask("POST", f"{uploads}=media&name={quoted}", client.own, b"content")
    elif way == "copy":
        path = f"/storage/v1/b/{BUCKET}/o/kept%2Fobject/rewriteTo/b/{BUCKET}/o/{quoted}"
        answer = client.ask("POST", path, client.own)
    else:
        said = name if way == "multipart" else f"{name}\ud800"
        body = MULTIPART % json.dumps({"name": said}).encode()
        headers = client.own | {"Content-Type": "multipart/related; boundary=b"}
        answer = client.ask("POST", f"{uploads}=multipart", headers, body)

    assert answer[0] == 400


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("?uploadType=multipart", b"", 400),
        ("?uploadType=multipart", MULTIPART[:-6] % b'{"name": "a"}', 400),
        ("?uploadType=multipart", MULTIPART % b'{"name": "a", "crc32c": "AAAAAA=="}', 400),
        ("?uploadType=multipart", MULTIPART % b"[1]", 400),
        ("?uploadType=multipart", MULTIPART % (b"[" * 100_000), 400),
        ("?uploadType=multipart&ifGenerationMatch=٣", MULTIPART % b'{"name": "a"}', 400),
        ("?uploadType=multipart&ifGenerationMatch=5", MULTIPART % b'{"name": "a"}', 412),
        ("?uploadType=resumable&name=a", b"{}", 501),
        ("?uploadType=media&name=%ff", b"", 400),
    ],
)
def test_upload_that_is_malformed_is_refused(client: Client, path: str, body: bytes, status: int) -> None:
    quoted = path.replace("٣", "%D9%A3")
    headers = client.own | {"Content-Type": "multipart/related; boundary=b"}

    assert client.ask("POST", f"/upload/storage/v1/b/{BUCKET}/o{quoted}", headers, body)[0] == status


@pytest.mark.usefixtures("unharmed")
def test_upload_that_is_cut_off_leaves_nothing(client: Client, tmp_path: Path) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in client.own.items())
    with socket.create_connection(("127.0.0.1", client.settings.gcs_port)) as connection:
        path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=new"
        connection.sendall(f"POST {path} HTTP/1.1\r\n{head}Content-Length: 100\r\n\r\nabc".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_connections_of_strangers_are_bounded_and_leave_room_again(client: Client) -> None:
    with ExitStack() as stack:
        for _ in range(600):
            stack.enter_context(socket.create_connection(("127.0.0.1", client.settings.gcs_port), timeout=20))
        last = stack.enter_context(
            socket.create_connection(("127.0.0.1", client.settings.gcs_port), timeout=20)
        )
        assert last.recv(1) == b""
        (server,) = _servers(client)
        assert server.num_threads() < 530
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(OSError, HTTPException):
            assert KEPT in client.names()
            return
    pytest.fail("the server took no connection again")


@given(st.text(max_size=40))
def test_safe_name_stays_below_the_folder_it_is_joined_to(name: str) -> None:
    if is_safe_name(name):
        joined = os.path.normpath(f"/a/b/{name}")
        assert joined == f"/a/b/{name}".rstrip("/")


def test_environment_of_the_server_is_empty_and_its_token_its_owner_s(client: Client) -> None:
    (server,) = _servers(client)

    assert server.environ() == {}
    assert read_token(client.settings) not in " ".join(server.cmdline())
    assert len(read_token(client.settings)) >= 43
    assert stat.S_IMODE(client.settings.token_file.stat().st_mode) == 0o600


def test_client_that_leaves_in_the_middle_prints_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with StorageServer(("127.0.0.1", 0), tmp_path, "token", frozenset()) as server:
        for error, printed in ((ConnectionResetError("gone"), False), (ValueError("wrong"), True)):
            try:
                raise error
            except (ConnectionError, ValueError):
                server.handle_error(None, ("127.0.0.1", 1))
            assert bool(capsys.readouterr().err) == printed


PLACE = ("bucket", "object")


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects")


def _put(objects: Objects, content: bytes) -> int:
    with objects.incoming() as path:
        path.write_bytes(content)
        return objects.put(PLACE, path, "AAAAAA==", {}, None).generation


@pytest.mark.parametrize("change", ["replace", "delete"])
def test_content_that_is_open_is_read_whole_after_a_change(objects: Objects, change: str) -> None:
    _put(objects, b"old")
    opened = objects.open(PLACE)
    assert opened
    if change == "replace":
        _put(objects, b"new")
    else:
        assert objects.delete(PLACE, None, None)
    with opened[1] as content:
        assert content.read() == b"old"


@pytest.mark.parametrize(("owner", "function"), [(Path, "open"), (os, "link")], ids=["open", "copy"])
def test_object_that_is_replaced_before_its_content_is_opened_is_found(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, function: str
) -> None:
    _put(objects, b"old")
    original = getattr(owner, function)
    changes: list[Thread] = []

    def replace_first(*arguments: Any) -> Any:
        monkeypatch.undo()
        changes.append(Thread(target=_put, args=(objects, b"new")))
        changes[0].start()
        changes[0].join(0.1)  # it waits for the lock, so the content is still there
        return original(*arguments)

    monkeypatch.setattr(owner, function, replace_first)
    if function == "open":
        opened = objects.open(PLACE)
        assert opened
        with opened[1] as content:
            assert content.read() == b"old"
    else:
        assert objects.link(PLACE, None, tmp_path / "link")
        assert (tmp_path / "link").read_bytes() == b"old"
    changes[0].join()
    new = objects.open(PLACE)
    assert new
    with new[1] as content:
        assert content.read() == b"new"


def test_delete_of_an_older_generation_leaves_the_object(objects: Objects) -> None:
    old = _put(objects, b"old")
    new = _put(objects, b"new")
    assert not objects.delete(PLACE, old, None)
    assert objects.find(PLACE, new)
    assert not objects.open(PLACE, old)
    assert objects.delete(PLACE, new, None)
    assert not objects.find(PLACE)
