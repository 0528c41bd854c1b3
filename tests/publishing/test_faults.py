"""What the storage may do to a request, and the commands survive it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pytest

from tests.publishing.exports import Export, RemoteExport
from tests.publishing.faults import Action, Fault, Flip, Hang, HangUp, Moment, Refuse
from tests.publishing.kills import contents
from tests.publishing.processes import Starter
from tests.publishing.proxy import FaultyProxy, run_proxy
from tests.publishing.requests import Operation
from tests.publishing.served import demand_servable

_PASSING: dict[str, tuple[Action, Moment]] = {
    "408": (Refuse(status=408), Moment.ARRIVED),
    "429": (Refuse(status=429), Moment.ARRIVED),
    "500": (Refuse(status=500), Moment.ARRIVED),
    "502": (Refuse(status=502), Moment.ARRIVED),
    "503": (Refuse(status=503), Moment.ARRIVED),
    "504 after it was done": (Refuse(status=504), Moment.ACTED),
    "reset": (HangUp(), Moment.ARRIVED),
    "reset in mid-request": (HangUp(), Moment.SENDING),
    "reset after it was done": (HangUp(), Moment.ACTED),
    "reset in mid-answer": (HangUp(), Moment.ANSWERING),
    "short answer": (HangUp(reset=False), Moment.ANSWERING),
}
_STALLS: dict[str, tuple[Action, Moment]] = {
    "stall": (Hang(), Moment.ARRIVED),
    "stall after it was done": (Hang(), Moment.ACTED),
    "stall in mid-answer": (Hang(), Moment.ANSWERING),
}
_OPERATIONS: tuple[Operation, ...] = ("list", "stat", "read", "create")


@pytest.fixture
def disturbed(gcs_server: str) -> Iterator[Mapping[str, FaultyProxy]]:
    """A proxy for each passing fault, which strikes every request once; stalls, which take long, fewer."""
    with contextlib.ExitStack() as stack:
        proxies = {name: stack.enter_context(run_proxy(gcs_server)) for name in _PASSING | _STALLS}
        for name, (action, moment) in _PASSING.items():
            proxies[name].faults = [Fault(action=action, moment=moment, once_each=True)]
        for name, (action, moment) in _STALLS.items():
            proxies[name].faults = [
                Fault(action=action, moment=moment, operation=operation, count=1) for operation in _OPERATIONS
            ]
        yield proxies


def _stages(export: Export, place: str) -> list[list[str]]:
    bucket = ["--model", "digits", "--bucket", place]
    return [
        [*export.push_arguments(place), "--make-live"],
        ["live", *bucket],
        ["releases", *bucket],
    ]


def test_run_every_request_disturbed_once_ends_as_if_undisturbed(
    disturbed: Mapping[str, FaultyProxy], proxy: FaultyProxy, starter: Starter, export: Export, bucket: str
) -> None:
    for number in range(3):
        calm = _stages(export, f"{bucket}/calm")[number]
        assert starter.start(calm, {"STORAGE_EMULATOR_HOST": proxy.url}).wait().status == 0
        running = {}
        for place, (name, faulty) in enumerate(disturbed.items()):
            timeout = "5" if name in _STALLS else "30"  # half of it is how long a stall lasts
            environment = {"STORAGE_EMULATOR_HOST": faulty.url, "REDRAW_STORAGE_TIMEOUT": timeout}
            running[name] = starter.start(_stages(export, f"{bucket}/{place}")[number], environment)
        ended = {name: command.wait() for name, command in running.items()}
        assert {name: end.stderr for name, end in ended.items() if end.status} == {}
    expected = contents(f"{bucket}/calm")
    for place, (name, faulty) in enumerate(disturbed.items()):
        assert contents(f"{bucket}/{place}") == expected, name
        struck = len(_OPERATIONS) if name in _STALLS else len(set(proxy.requests))
        assert len(faulty.requests) >= len(proxy.requests) + struck, name


def test_push_copies_disturbed_once_each_end_as_if_undisturbed(
    disturbed: Mapping[str, FaultyProxy], starter: Starter, remote_export: RemoteExport, bucket: str
) -> None:
    running = {}
    for place, (name, faulty) in enumerate(disturbed.items()):
        (first, *_) = faulty.faults
        faulty.copies.calls = 3
        faulty.faults = [Fault(action=first.action, moment=first.moment, operation="copy", once_each=True)]
        environment = {"STORAGE_EMULATOR_HOST": faulty.url, "REDRAW_STORAGE_TIMEOUT": "30"}
        if name not in _STALLS:
            running[name] = starter.start(remote_export.push_arguments(f"{bucket}/{place}"), environment)
    ended = {name: command.wait() for name, command in running.items()}
    assert {name: end.stderr for name, end in ended.items() if end.status} == {}
    expected = contents(f"{bucket}/0")
    for place, name in enumerate(running):
        demand_servable(f"{bucket}/{place}")
        assert contents(f"{bucket}/{place}") == expected, name


def test_push_altered_on_the_way_is_refused(
    proxy: FaultyProxy, starter: Starter, export: Export, bucket: str
) -> None:
    shard = "variables/variables.data-00001-of-00002"
    proxy.faults = [Fault(action=Flip(), moment=Moment.SENDING, operation="create", name=shard)]
    ended = starter.start(export.push_arguments(bucket), {"STORAGE_EMULATOR_HOST": proxy.url}).wait()
    assert ended.status == 1
    assert f"{shard}: expected 2000 bytes with crc32c" in ended.stderr.splitlines()[-1]
    made = {request.name for request in proxy.requests if request.operation == "create"}
    assert not any("saved_model.pb" in name or name.endswith("00.json") for name in made)


def test_live_pointer_altered_on_the_way_is_noticed(
    proxy: FaultyProxy, starter: Starter, export: Export, bucket: str
) -> None:
    environment = {"STORAGE_EMULATOR_HOST": proxy.url, "REDRAW_STORAGE_TIMEOUT": "3"}
    assert starter.start([*export.push_arguments(bucket), "--make-live"], environment).wait().status == 0
    proxy.faults = [Fault(action=Flip(), moment=Moment.ANSWERING, operation="read", count=99)]
    ended = starter.start(["live", "--model", "digits", "--bucket", bucket], environment).wait()
    assert ended.status == 1
    assert "error [StorageUnavailable]" in ended.stderr
    assert "Checksum mismatch" in ended.stderr
