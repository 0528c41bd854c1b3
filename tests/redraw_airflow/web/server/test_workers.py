from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from redraw.errors import InvalidRecord, RedrawError, VersionNotFound
from redraw.requests import DifferencesRequest
from redraw_airflow.web.server.errors import WorkerFailed, WorkerOverran, WorkersBusy
from redraw_airflow.web.server.workers import run_worker
from redraw_airflow.web.views import weight_changes
from redraw_airflow.web.views.weight_changes import WeightChanges

_ROOM = 1 << 30


def run(source: str, request: bytes = b"", seconds: float = 30, memory_bytes: int = _ROOM) -> bytes:
    return asyncio.run(run_worker(("-c", source), request, seconds=seconds, memory_bytes=memory_bytes))


def test_run_worker_gives_request_and_returns_answer() -> None:
    request = os.urandom(3 << 20)

    answer = run("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])", request)

    assert answer == request[::-1]


def test_run_worker_that_never_reads_its_request_answers_all_the_same() -> None:
    assert run("print('done')", b"x" * (4 << 20)) == b"done\n"


def test_run_worker_beyond_its_time_ends_with_what_it_started(
    tmp_path: Path, gone: Callable[[int], bool], until: Callable[..., None]
) -> None:
    note = tmp_path / "pids"
    source = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(note)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(60)"
    )
    began = time.monotonic()

    with pytest.raises(WorkerOverran, match="within 2 s"):
        run(source, seconds=2)

    assert time.monotonic() - began < 20
    pids = [int(pid) for pid in note.read_text().split()]
    until(lambda: all(gone(pid) for pid in pids), "the end of the worker and its child")


def test_run_worker_beyond_its_memory_is_stopped() -> None:
    source = "import time; held = bytearray(b'1') * (300 << 20); time.sleep(60)"

    with pytest.raises(WorkerOverran, match=f"at most {200 << 20} bytes of memory"):
        run(source, memory_bytes=200 << 20)


def test_run_worker_whose_child_takes_the_memory_is_stopped() -> None:
    child = "import time; held = bytearray(b'1') * (300 << 20); time.sleep(60)"
    source = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"

    with pytest.raises(WorkerOverran, match="bytes of memory"):
        run(source, memory_bytes=200 << 20)


def test_run_worker_that_answers_without_end_is_stopped() -> None:
    with pytest.raises(WorkerOverran, match="an answer of at most"):
        run("import sys\nwhile True: sys.stdout.write('x' * 100000)")


def test_run_worker_with_expected_error_raises_it_by_name() -> None:
    request = b'{"model": "mnist", "bucket": "no bucket"}'
    command = ("-m", "redraw", "releases", "--request", "-")

    with pytest.raises(RedrawError, match="expected gs://BUCKET") as raised:
        asyncio.run(run_worker(command, request, seconds=60, memory_bytes=_ROOM))
    with pytest.raises(VersionNotFound, match="no version 7"):
        run("import sys; sys.exit('INFO x: y\\nerror [VersionNotFound]: no version 7')")

    assert type(raised.value).__name__ == "InvalidName"


def test_run_worker_with_bug_fails_with_its_last_line() -> None:
    with pytest.raises(WorkerFailed, match="last wrote: KeyError: 'weights'"):
        run("{}['weights']")


def test_run_worker_has_nothing_of_airflow_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", "google-cloud-platform://?key=secret")

    answer = run("import os; print([key for key in os.environ if 'AIRFLOW' in key])")

    assert answer == b"[]\n"


def test_run_worker_draws_credentials_from_the_connection_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDRAW_WEB_CONNECTION", "reader")
    monkeypatch.setenv(
        "AIRFLOW_CONN_READER", '{"conn_type": "google_cloud_platform", "extra": {"is_anonymous": true}}'
    )

    kind = run("from redraw.storage.credentials import *; print(type(storage_credentials()).__name__)")

    assert kind == b"AnonymousCredentials\n"


def test_run_worker_beside_as_many_as_may_run_says_so_and_waits_for_none(tmp_path: Path) -> None:
    begin = tmp_path / "begin"
    waiting = f"import os, time\nwhile not os.path.exists({str(begin)!r}): time.sleep(0.02)"

    async def crowd() -> list[bytes]:
        first = [
            asyncio.create_task(run_worker(("-c", waiting), b"", seconds=30, memory_bytes=_ROOM))
            for _ in range(2)
        ]
        await asyncio.sleep(0)
        with pytest.raises(WorkersBusy, match="Try again"):
            await run_worker(("-c", ""), b"", seconds=30, memory_bytes=_ROOM)
        begin.touch()
        await asyncio.gather(*first)
        return [await run_worker(("-c", "print(1)"), b"", seconds=30, memory_bytes=_ROOM)]

    assert asyncio.run(crowd()) == [b"1\n"]


def test_run_worker_that_nobody_waits_for_any_more_ends(
    tmp_path: Path, gone: Callable[[int], bool], until: Callable[..., None]
) -> None:
    note = tmp_path / "pid"
    source = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"

    async def give_up() -> None:
        asked = asyncio.create_task(run_worker(("-c", source), b"", seconds=60, memory_bytes=_ROOM))
        while not (note.exists() and note.read_text()):  # noqa: ASYNC110 - bounded by the worker's time
            await asyncio.sleep(0.02)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    asyncio.run(give_up())

    until(lambda: gone(int(note.read_text())), "the end of the worker")


def test_find_weight_changes_of_a_pair_starts_one_worker_and_keeps_its_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    note = tmp_path / "started"
    record = {
        "record": "WeightDifferences",
        "model": "mnist",
        "version": 2,
        "other": 1,
        "variables": [],
        "unlike": [],
        "only_in_version": [],
        "only_in_other": [],
    }
    worker = f"open({str(note)!r}, 'a').write('x'); print({json.dumps(record)!r})"
    monkeypatch.setattr(weight_changes, "_COMMAND", ("-c", worker))
    pair = DifferencesRequest(model="mnist", bucket="gs://models", version=2, other=1)

    async def ask() -> None:
        changes = WeightChanges()
        impatient = asyncio.create_task(changes.find(pair))
        await asyncio.sleep(0)
        impatient.cancel()
        found = await asyncio.gather(*(changes.find(pair) for _ in range(5)))
        assert all(one is found[0] for one in found)
        assert await changes.find(pair) is found[0]
        assert (found[0].version, found[0].other) == (2, 1)

    asyncio.run(ask())

    assert note.read_text() == "x"


def test_find_weight_changes_that_failed_are_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_changes, "_COMMAND", ("-c", "print('no record')"))
    pair = DifferencesRequest(model="mnist", bucket="gs://models", version=2, other=1)

    async def ask() -> None:
        changes = WeightChanges()
        for _ in range(2):
            with pytest.raises(InvalidRecord, match="the worker's answer"):
                await changes.find(pair)

    asyncio.run(ask())
