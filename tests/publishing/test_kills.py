"""Killed at any request, and run again, a command ends as if it had never been disturbed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from redraw.storage.opening import open_storage
from tests.fake_gcs import Kept
from tests.publishing.exports import Export, RemoteExport, small_files, write_export
from tests.publishing.faults import Moment
from tests.publishing.kills import Killer, contents, left
from tests.publishing.served import demand_servable

_GRAPH = "saved_model.pb"

Prepare = Callable[[str], Sequence[str]]


@pytest.fixture
def push(export: Export) -> Prepare:
    """Nothing is prepared: the command publishes the first version and makes it live."""
    return lambda place: [*export.push_arguments(place), "--make-live"]


@pytest.fixture
def push_remote(remote_export: RemoteExport, killer: Killer) -> Prepare:
    """The same of an export in a bucket, each of whose objects takes two calls to copy."""
    killer.proxy.copies.calls = 2
    return lambda place: [*remote_export.push_arguments(place), "--make-live"]


@pytest.fixture
def publish(gcs_server: str, unloadable: None, tmp_path: Path) -> Callable[[str, int], None]:
    """Publishes small versions and makes each live: `publish(place, how_many)`."""
    exports = [
        write_export(tmp_path / f"{day}", {_GRAPH: b"the graph"}, trained_at=f"2024-05-0{day}T00:00:00Z")
        for day in (1, 2, 3)
    ]

    def publish(place: str, count: int) -> None:
        for export in exports[:count]:
            export.publish(place)

    return publish


@pytest.fixture
def roll_back(publish: Callable[[str, int], None]) -> Prepare:
    """The second version is live; the command makes the first one live again."""

    def prepare(place: str) -> Sequence[str]:
        publish(place, 2)
        bucket = ["--model", "digits", "--bucket", place]
        return ["live", *bucket, "--set", "2024050100000000", "--allow-older", "worse answers"]

    return prepare


@pytest.fixture
def previous(publish: Callable[[str, int], None]) -> Prepare:
    """The second version is live; the command goes back to the one before."""

    def prepare(place: str) -> Sequence[str]:
        publish(place, 2)
        bucket = ["--model", "digits", "--bucket", place]
        return ["live", *bucket, "--previous", "--from", "2024050200000000", "--reason", "worse answers"]

    return prepare


@pytest.fixture
def recover(publish: Callable[[str, int], None]) -> Prepare:
    """The second version is live, and everything that says so is lost but an older copy of the pointer."""

    def prepare(place: str) -> Sequence[str]:
        publish(place, 1)
        storage = open_storage(place)
        older = storage.read("digits/live.json") or b""
        publish(place, 2)
        lost = ("digits/live/", "digits/live.json")
        storage.delete_many(item for item in storage.list("digits/") if item.name.startswith(lost))
        storage.create("digits/live.json", older[: len(older) // 2])  # and that one is damaged
        return ["recover", "--model", "digits", "--bucket", place, "--apply"]

    return prepare


@pytest.fixture
def prune(publish: Callable[[str, int], None]) -> Prepare:
    """The third version is live, the second was before; the command removes the first."""

    def prepare(place: str) -> Sequence[str]:
        publish(place, 3)
        return ["prune", "--model", "digits", "--bucket", place, "--keep", "1", "--apply"]

    return prepare


@pytest.mark.parametrize(
    ("command", "moment"),
    [
        *(
            (push, moment)
            for push in ("push", "push_remote")
            for moment in (Moment.ARRIVED, Moment.SENDING, Moment.ACTED)
        ),
        *(
            (command, moment)
            for command in ("roll_back", "previous", "recover")
            for moment in (Moment.ARRIVED, Moment.ACTED)
        ),
        *(("prune", moment) for moment in (Moment.ARRIVED, Moment.ACTED)),
    ],
)
def test_run_killed_at_any_request_carries_on(
    request: pytest.FixtureRequest,
    killer: Killer,
    gcs_buckets: Path,
    bucket: str,
    tmp_path: Path,
    command: str,
    moment: Moment,
) -> None:
    place = f"{bucket}/place"
    prepare: Prepare = request.getfixturevalue(command)
    arguments = prepare(place)
    kept = Kept.keep(gcs_buckets, place, tmp_path / "kept")
    assert killer.run(arguments).status == 0
    undisturbed = contents(place)
    seen: list[dict[str, bytes]] = []
    number = 1
    kept.restore()
    while killer.kill_at(number, moment, arguments):
        there = left(place)
        # What follows depends only on what is there: of kills that leave the same, one shows it.
        if there not in seen:
            seen.append(there)
            _demand_carries_on(killer, place, arguments, undisturbed)
        kept.restore()
        number += 1
    assert len(seen) > 2  # as it was, and at least two writes later
    # The walk ends with a run that nobody killed: as many requests but one, and each has been the last.
    assert number - 1 == len(killer.proxy.requests) > 5
    copied = [request.name for request in killer.proxy.requests if request.operation == "copy"]
    assert len(copied) == (2 * len(small_files()) if command == "push_remote" else 0)


def _demand_carries_on(
    killer: Killer, place: str, arguments: Sequence[str], undisturbed: dict[str, bytes]
) -> None:
    demand_servable(place)
    versions = {item.name for item in open_storage(place).list() if item.name.split("/")[1].isdecimal()}
    killer.proxy.requests.clear()
    ended = killer.run(arguments)
    assert ended.status == 0, f"{place}: {ended.stderr}"
    assert contents(place) == undisturbed, place
    demand_servable(place)
    start = place.split("/", 3)[3]
    sent = {
        request.name.removeprefix(f"{start}/")
        for request in killer.proxy.requests
        if request.operation in ("create", "copy")
    }
    assert sent.isdisjoint(versions), f"{place}: what was there was sent again"
