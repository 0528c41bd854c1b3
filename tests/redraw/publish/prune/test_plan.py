"""The rules of retention, without a bucket."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

import pytest

from redraw.publish.prune.index import IndexedRelease
from redraw.publish.prune.plan import Plan, plan_prune
from redraw.records import LivePointer
from redraw.requests import PruneRequest

DAY = 24 * 3600.0


def release(version: int, **more: Any) -> IndexedRelease:
    return IndexedRelease(
        generation=1, version=version, size_bytes=10, pushed_at="2026-01-01T00:00:00Z", **more
    )


def plan(served: Collection[int] = (), days: Any = (), pointer: Any = None, **rules: Any) -> Plan:
    """Of the versions 5 to 1, the newest weights first; 3 is pruned."""
    releases = [release(number) for number in (5, 4, 2, 1)]
    releases.insert(2, release(3, pruned_at="2026-01-02T00:00:00Z", pruned_for="not one of the 4 newest"))
    found = LivePointer(**{"model": "m", "version": None, "previous": None, **(pointer or {})})
    written = {version: time.time() - age * DAY for version, age in dict(days).items()}
    request = PruneRequest(model="m", bucket="gs://models", **rules)
    return plan_prune(found, served, releases, written, request)


NEWEST = "the newest, which servers that follow the highest number load"


def test_plan_keeps_so_many_and_the_newest_whatever_is_asked() -> None:
    two, one = plan(keep=2), plan(keep=1)

    assert two.kept == {"5": f"{NEWEST}; one of the 2 newest", "4": "one of the 2 newest"}
    assert [(row.version, row.reason, row.size_bytes) for row in two.removed] == [
        (2, "not one of the 2 newest", 10),
        (1, "not one of the 2 newest", 10),
    ]
    assert (two.newest, one.newest, plan(keep_days=1.0).newest) == ((5, 4), (5,), (5,))
    assert list(one.kept) == ["5"]


def test_plan_keeps_what_was_pushed_lately_by_the_storage_s_clock() -> None:
    found = plan(days={4: 0.9, 2: 1.1}, keep_days=1.0)

    assert found.kept == {"5": NEWEST, "4": "pushed in the last 1 days"}
    assert {row.reason for row in found.removed} == {"not pushed in the last 1 days"}
    both = plan(days={4: 0.9}, keep=1, keep_days=1.0).removed
    assert both[0].reason == "not one of the 1 newest, not pushed in the last 1 days"


@pytest.mark.parametrize(
    ("pointer", "version", "why"),
    [
        ({"version": 2}, "2", "live"),
        ({"version": 5, "previous": 1}, "1", "live before"),
        ({"labels": {"canary": 1}}, "1", "labelled canary"),
        ({"pinned": {"2": ""}}, "2", "pinned: "),
        (
            {"version": 2, "labels": {"stable": 2}, "pinned": {"2": "of the law"}},
            "2",
            "live; labelled stable; pinned: of the law",
        ),
    ],
)
def test_plan_keeps_what_the_pointer_names(pointer: Any, version: str, why: str) -> None:
    found = plan(pointer=pointer, keep=1)

    assert set(found.kept) == {"5", version}
    assert found.kept[version] == why


def test_plan_keeps_what_servers_are_configured_for_and_says_so_only_then() -> None:
    found = plan(served={4, 2}, keep=2)

    assert found.kept["2"] == "named by models.config, but not by live.json"
    assert found.kept["4"] == "one of the 2 newest"


def test_plan_removes_what_a_stopped_prune_was_about() -> None:
    found = plan(pointer={"pruning": (4, 3, 1)}, keep=2)

    assert list(found.kept) == ["5"]
    assert {row.version: row.reason for row in found.removed} == {
        4: "an earlier prune of this version was interrupted",
        2: "not one of the 2 newest",
        1: "not one of the 2 newest",
        3: "not one of the 4 newest",
    }
