"""Killed at any request, and run again, a command ends as if it had never been disturbed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tasks.storage import open_storage
from tests.publishing.exports import Export, small_files, write_export
from tests.publishing.faults import Moment
from tests.publishing.kills import Killer, contents
from tests.publishing.served import demand_servable

_MOMENTS = (Moment.ARRIVED, Moment.SENDING, Moment.ACTED)

Prepare = Callable[[str], Sequence[str]]


@pytest.fixture
def push(export: Export) -> Prepare:
    """Nothing is prepared: the command publishes the first version and makes it live."""
    return lambda place: [*export.push_arguments(place), "--make-live"]


@pytest.fixture
def live(export: Export, killer: Killer, tmp_path: Path) -> Prepare:
    """Two versions are published, the older one is live; the command makes the newer one live."""
    newer = write_export(tmp_path / "newer", small_files(), trained_at="2024-05-07T00:00:00Z")

    def prepare(place: str) -> Sequence[str]:
        for arguments in ([*export.push_arguments(place), "--make-live"], newer.push_arguments(place)):
            assert killer.run(arguments).status == 0
        return ["live", "--model", "digits", "--bucket", place, "--set", "2024050700000000"]

    return prepare


@pytest.mark.parametrize("moment", _MOMENTS)
@pytest.mark.parametrize("command", ["push", "live"])
def test_run_killed_at_any_request_carries_on(
    request: pytest.FixtureRequest, killer: Killer, bucket: str, command: str, moment: Moment
) -> None:
    prepare: Prepare = request.getfixturevalue(command)

    def prepare_number(number: int) -> Sequence[str]:
        return prepare(f"{bucket}/killed-{number}")

    assert killer.run(prepare(f"{bucket}/undisturbed")).status == 0
    undisturbed = contents(f"{bucket}/undisturbed")
    number = 0
    for number, arguments in killer.walk(moment, prepare_number):
        _demand_carries_on(killer, f"{bucket}/killed-{number}", arguments, undisturbed)
    # The walk ends with a run that nobody killed: as many requests, and each has been the last.
    assert number == len(killer.proxy.requests) > 5


def _demand_carries_on(
    killer: Killer, place: str, arguments: Sequence[str], undisturbed: dict[str, bytes]
) -> None:
    demand_servable(place)
    versions = {item.name for item in open_storage(place).list() if item.name.split("/")[1].isdecimal()}
    killer.proxy.requests.clear()
    ended = killer.run(arguments)
    assert ended.status == 0, f"{place}: {ended.stderr}"
    assert contents(place) == undisturbed, place
    start = place.split("/", 3)[3]
    sent = {
        request.name.removeprefix(f"{start}/")
        for request in killer.proxy.requests
        if request.operation == "create"
    }
    assert sent.isdisjoint(versions), f"{place}: what was there was sent again"
