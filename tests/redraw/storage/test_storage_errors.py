from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from redraw.errors import InvalidName, InvalidSetting, StorageError, StorageForbidden, StorageUnavailable
from redraw.storage.opening import AlreadyThere, Changed, Storage, StoredObject, download_tree, open_storage

# google-cloud-storage leaves the answer to a refused download unread, and its socket to the
# garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


_STORED = StoredObject(name="a", size=1, crc32c=0, generation=7)


@dataclass
class StandIn:
    """A loopback server that answers whatever a test says.

    It stands in for the real service where fake-gcs-server cannot: that one knows no
    permissions, is never overloaded and keeps no names that lead elsewhere.
    """

    answer: Callable[[int], tuple[int, object]] = lambda count: (200, {})
    requests: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    state = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            state.requests.append(f"{self.command} {self.path}")
            status, content = state.answer(len(state.requests))
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the handler's interface names it
        do_DELETE = do_GET  # noqa: N815 - as above

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("REDRAW_STORAGE_TIMEOUT", "5")
    yield state
    server.shutdown()
    thread.join()
    server.server_close()
    gc.collect()  # while the filter above is in force


def _calls(storage: Storage, folder: Path) -> list[Callable[[], object]]:
    return [
        lambda: storage.list(),
        lambda: storage.stat("a"),
        lambda: storage.read("a"),
        lambda: storage.download("a", folder / "a"),
        lambda: storage.create("a", b"x"),
        lambda: storage.replace("a", b"x", 5),
        lambda: storage.copy_from(storage, _STORED, "b"),
        lambda: storage.delete("a", 5),
        lambda: storage.delete_many([_STORED]),
    ]


def test_call_unauthorized_asks_for_credentials(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answer = lambda count: (401, {"error": {"message": "Invalid Credentials"}})
    for call in _calls(open_storage("gs://bucket/models"), tmp_path):
        with pytest.raises(StorageForbidden, match=r"gs://bucket/models.*credentials"):
            call()


def test_call_forbidden_names_the_permission_and_is_not_retried(stand_in: StandIn, tmp_path: Path) -> None:
    message = "robot@project does not have storage.objects access to the bucket."
    stand_in.answer = lambda count: (403, {"error": {"code": 403, "message": message}})
    calls = _calls(open_storage("gs://bucket/models"), tmp_path)
    needed = [
        "list",
        "get",
        "get",
        "get",
        "create",
        "create and storage.objects.delete",
        "create, and storage.objects.get of gs://bucket/models/a",
        "delete",
        "delete",
    ]
    for call, permission in zip(calls, needed, strict=True):
        expected = (
            rf"gs://bucket/models.*\(storage\.objects\.{permission}\), got 403.*storage\.objects access"
        )
        with pytest.raises(StorageForbidden, match=expected):
            call()
    assert len(stand_in.requests) == len(calls)


def test_delete_sends_the_generation_and_takes_the_answer(stand_in: StandIn) -> None:
    storage = open_storage("gs://bucket/models")
    stand_in.answer = lambda count: (412, {"error": {"message": "conditionNotMet"}})
    with pytest.raises(Changed):
        storage.delete("a", 5)
    assert "ifGenerationMatch=5" in stand_in.requests[0]
    # An absent object is as good as a removed one; the bucket's listing tells that it exists.
    stand_in.answer = lambda count: (200, {}) if "/o?" in stand_in.requests[-1] else (404, {})
    storage.delete("a", 5)


def test_copy_from_in_several_calls_goes_on_by_each_token(stand_in: StandIn) -> None:
    done = {"name": "models/b", "size": "1", "crc32c": "AAAAAA==", "generation": "8"}
    sizes = {"totalBytesRewritten": "1", "objectSize": "1"}

    def answer(count: int) -> tuple[int, object]:
        if count == 2:  # and that one is made again
            return 503, {}
        if count < 4:
            return 200, {"done": False, "rewriteToken": f"token-{count}", **sizes}
        return 200, {"done": True, "resource": done, **sizes}

    stand_in.answer = answer
    storage = open_storage("gs://bucket/models")
    copied = storage.copy_from(open_storage("gs://work/run"), _STORED, "b")
    assert (copied.name, copied.generation) == ("b", 8)
    assert ["token-1" in made for made in stand_in.requests] == [False, True, True, False]
    assert ["token-3" in made for made in stand_in.requests] == [False, False, False, True]
    for made in stand_in.requests:
        assert made.startswith("POST /storage/v1/b/work/o/run%2Fa/rewriteTo/b/bucket/o/models%2Fb?")
        assert "sourceGeneration=7" in made
        assert "ifGenerationMatch=0" in made
    # With a type of its own the copy has nothing of the source's metadata, an encoding for example.
    assert {json.loads(body)["contentType"] for body in stand_in.bodies} == {"application/octet-stream"}


def test_copy_from_takes_the_answers_of_the_preconditions(stand_in: StandIn) -> None:
    storage = open_storage("gs://bucket/models")
    stand_in.answer = lambda count: (412, {"error": {"message": "conditionNotMet"}})
    with pytest.raises(AlreadyThere, match="gs://bucket/models/b"):
        storage.copy_from(storage, _STORED, "b")
    stand_in.answer = lambda count: (200, {}) if "/o?" in stand_in.requests[-1] else (404, {})
    with pytest.raises(Changed, match="gs://bucket/models/a"):
        storage.copy_from(storage, _STORED, "b")


def test_copy_from_that_made_something_else_says_so(stand_in: StandIn) -> None:
    other = {"name": "b", "size": "1", "crc32c": "AAAAAQ==", "generation": "8"}
    answered = {"done": True, "resource": other, "totalBytesRewritten": "1", "objectSize": "1"}
    stand_in.answer = lambda count: (200, answered)
    storage = open_storage("gs://bucket")
    with pytest.raises(StorageUnavailable, match="gs://bucket/b: expected 1 bytes with crc32c 00000000"):
        storage.copy_from(storage, _STORED, "b")


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_call_overloaded_once_is_retried(stand_in: StandIn, status: int) -> None:
    listing = {"items": [{"name": "a", "size": "1", "crc32c": "AAAAAA==", "generation": "7"}]}
    stand_in.answer = lambda count: (status, {}) if count == 1 else (200, listing)
    assert [item.generation for item in open_storage("gs://bucket").list()] == [7]
    assert len(stand_in.requests) == 2


def test_create_overloaded_once_sends_all_of_it_again(stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(3 << 20))
    stored = {"name": "a", "size": str(3 << 20), "crc32c": "+zbIlw==", "generation": "7"}
    stand_in.answer = lambda count: (503, {}) if count == 1 else (200, stored)
    storage = open_storage("gs://bucket")
    with pytest.raises(StorageUnavailable, match="expected 3145728 bytes with crc32c"):
        storage.create("a", tmp_path / "file")
    sent = [request for request in stand_in.requests if "ifGenerationMatch=0" in request]
    assert len(sent) == 2


def test_call_always_overloaded_gives_up_in_time(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_STORAGE_TIMEOUT", "0.5")
    stand_in.answer = lambda count: (503, {"error": {"message": "Backend error, try later"}})
    for call in _calls(open_storage("gs://bucket"), tmp_path):
        started = time.monotonic()
        with pytest.raises(StorageUnavailable, match="Backend error, try later.*REDRAW_STORAGE_TIMEOUT"):
            call()
        assert time.monotonic() - started < 3


def test_call_refused_connection_is_unavailable(
    unused_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{unused_port}")
    monkeypatch.setenv("REDRAW_STORAGE_TIMEOUT", "0.5")
    for call in _calls(open_storage("gs://bucket"), tmp_path):
        with pytest.raises(StorageUnavailable, match="Connection refused"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_call_other_refusal_is_not_retried(stand_in: StandIn) -> None:
    stand_in.answer = lambda count: (400, {"error": {"message": "Invalid argument."}})
    with pytest.raises(StorageError, match=r"Invalid argument\."):
        open_storage("gs://bucket").create("a", b"x")
    assert len(stand_in.requests) == 1


def test_download_tree_name_that_leads_elsewhere_writes_nothing(stand_in: StandIn, tmp_path: Path) -> None:
    listing = {"items": [{"name": "m/../../x", "size": "1", "crc32c": "AAAAAA==", "generation": "7"}]}
    stand_in.answer = lambda count: (200, listing)
    with pytest.raises(InvalidName, match="expected a relative path"):
        download_tree(open_storage("gs://bucket"), "m", tmp_path / "deep" / "copy")
    assert list(tmp_path.iterdir()) == []


def test_walk_skips_names_that_lead_elsewhere(stand_in: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    names = ["m/../../x", "m//x", "m/a\x1b[2J", "m/good", "m\\x", "n" * 300]
    item = {"size": "1", "crc32c": "AAAAAA==", "generation": "7"}
    stand_in.answer = lambda count: (200, {"items": [{"name": name, **item} for name in names]})
    assert [found.name for found in open_storage("gs://bucket").walk()] == ["m/good"]
    assert len([line for line in caplog.messages if "skipped" in line]) == 5
    with pytest.raises(InvalidName, match="expected a relative path"):
        open_storage("gs://bucket").list()


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "inf", "nan"])
def test_open_with_odd_timeout_is_refused(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("REDRAW_STORAGE_TIMEOUT", seconds)
    with pytest.raises(InvalidSetting, match="REDRAW_STORAGE_TIMEOUT"):
        open_storage("gs://bucket")


def test_open_without_credentials_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    with pytest.raises(StorageForbidden, match="GOOGLE_APPLICATION_CREDENTIALS"):
        open_storage("gs://bucket")
