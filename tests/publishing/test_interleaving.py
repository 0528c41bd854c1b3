"""Another command comes between any two requests of a prune, and runs to its end there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from redraw.publish.bucket.layout import read_release
from redraw.publish.live.set_live import change_live
from redraw.requests import LiveRequest
from redraw.storage.opening import open_storage
from tests.fake_gcs import Kept
from tests.publishing.exports import Export, write_export
from tests.publishing.faults import Fault, Wait
from tests.publishing.kills import Killer
from tests.publishing.processes import Command, Ended
from tests.publishing.served import demand_servable

_OLDEST = 2024050100000000
_MOST = 60


@pytest.fixture
def exports(tmp_path: Path) -> list[Export]:
    """Three exports, the oldest weights first."""
    return [
        write_export(
            tmp_path / f"{day}", {"saved_model.pb": b"the graph"}, trained_at=f"2024-05-0{day}T00:00:00Z"
        )
        for day in (1, 2, 3)
    ]


@pytest.mark.usefixtures("unloadable")
@pytest.mark.parametrize(("intruder", "outcomes"), [("live", {0, 1}), ("push", {0})])
def test_prune_met_by_another_command_anywhere_leaves_no_half_version(
    killer: Killer,
    exports: list[Export],
    gcs_server: str,
    gcs_buckets: Path,
    bucket: str,
    tmp_path: Path,
    intruder: str,
    outcomes: set[int],
) -> None:
    place = f"{bucket}/place"
    for export in exports:
        export.publish(place)
    kept = Kept.keep(gcs_buckets, place, tmp_path / "kept")
    model = ["--model", "digits", "--bucket", place]
    commands = {
        "live": ["live", *model, "--set", str(_OLDEST), "--allow-older", "a test"],
        "push": exports[0].push_arguments(place),
    }
    intrude = partial(killer.starter.start, commands[intruder], {"STORAGE_EMULATOR_HOST": gcs_server})
    statuses = list[int]()
    while len(statuses) < _MOST:
        ended = _prune_and_meet(killer, len(statuses) + 1, place, intrude)
        _demand_sound(place)
        if ended is None:
            break
        statuses.append(ended.status)
        kept.restore()
    assert len(statuses) > 10
    assert set(statuses) == outcomes


def _prune_and_meet(killer: Killer, number: int, place: str, intrude: Callable[[], Command]) -> Ended | None:
    """Prune, and run a command when its request of a number arrives; None if it makes fewer."""
    ended: list[Ended] = []
    killer.proxy.requests.clear()
    killer.proxy.faults = [Fault(action=Wait(function=lambda: ended.append(intrude().wait())), first=number)]
    prune = ["prune", "--model", "digits", "--bucket", place, "--keep", "1", "--apply"]
    pruned = killer.starter.start(prune, {"STORAGE_EMULATOR_HOST": killer.proxy.url}).wait()
    assert pruned.status == 0, pruned.stderr
    return ended[0] if ended else None


def _demand_sound(place: str) -> None:
    """What is live is whole, and what says that it was pruned is gone."""
    demand_servable(place)
    storage = open_storage(place)
    names = [item.name for item in storage.list()]
    live = change_live(LiveRequest(model="digits", bucket=place)).version
    assert f"digits/{live}/saved_model.pb" in names
    release = read_release(storage, "digits", _OLDEST)
    assert release is not None
    for folder in (f"digits/{_OLDEST}/", f"digits/reports/{_OLDEST}/"):
        there = any(name.startswith(folder) for name in names)
        assert there == (release.pruned is None), f"{place}: pruned: {release.pruned}, objects: {names}"
