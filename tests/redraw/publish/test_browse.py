from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from redraw.publish.browse import Browser
from redraw.publish.bucket.layout import claim_name, encode_record, release_name
from redraw.publish.version_rows import headline_metric, row_of
from redraw.records import Pruned
from redraw.storage.opening import Storage, open_storage
from tests.redraw_airflow.web.publications import (
    checkpoint_record,
    pointer_record,
    publish,
    release_record,
    version_of,
)


class Counted:
    """A bucket that counts what is asked of it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.asked: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._storage, name)
        if callable(value):
            self.asked[name] += 1
        return value

    def taken(self) -> dict[str, int]:
        asked, self.asked = dict(self.asked), Counter()
        return asked


class Clock:
    """Time that passes when a test says so, on a machine that has been up for a while."""

    now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def storage(bucket: str) -> Counted:
    storage = open_storage(bucket)
    publish(storage, [release_record("mnist", day) for day in range(12)], pointer_record("mnist", 5))
    # Neither is a version: one is still being pushed, the other is somebody's note.
    storage.create(claim_name("mnist", version_of(50)), b"{}")
    storage.create("mnist/releases/notes.json", b"{}")
    return Counted(storage)


def test_list_models_begins_with_those_that_have_versions(storage: Counted) -> None:
    first, *others = Browser(storage, Clock()).known_models(math.inf)[0]  # type: ignore[arg-type]

    assert (first.name, first.versions) == ("mnist", 12)
    assert others == sorted(others, key=lambda row: row.name)
    assert any(row.name < "mnist" for row in others)


def test_list_models_rests_after_a_page_has_asked(storage: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redraw.publish.browse._MODELS_AT_ONCE", 1)
    monkeypatch.setattr("redraw.publish.browse._REST_SECONDS", 0.2)
    read, browser = list[float](), Browser(storage, Clock())  # type: ignore[arg-type]
    pointer = browser.pointer
    monkeypatch.setattr(browser, "pointer", lambda name: (read.append(time.monotonic()), pointer(name))[1])

    _, unread = browser.known_models(0.0)
    asked_at = time.monotonic()
    browser.known_models(math.inf)[0]
    assert unread == len(read) > 1
    assert min(moment - asked_at for moment in read[1:]) > 0.15


def test_list_versions_reads_each_record_once(storage: Counted) -> None:
    clock = Clock()
    browser = Browser(storage, clock)  # type: ignore[arg-type]

    first = browser.versions("mnist", offset=2, limit=5)
    assert storage.taken() == {"walk": 1, "read": 5}
    clock.now += 60
    assert browser.versions("mnist", offset=2, limit=5) == first
    assert storage.taken() == {"walk": 1}
    assert first.total == 12
    assert [row.version for row in first.rows] == [version_of(day) for day in (9, 8, 7, 6, 5)]


def test_numbers_of_versions_read_no_record(storage: Counted) -> None:
    browser = Browser(storage, Clock())  # type: ignore[arg-type]

    assert browser.numbers("mnist") == tuple(version_of(day) for day in range(11, -1, -1))
    assert storage.taken() == {"walk": 1}


def test_list_versions_within_two_seconds_lists_once(storage: Counted) -> None:
    clock = Clock()
    browser = Browser(storage, clock)  # type: ignore[arg-type]

    browser.versions("mnist", limit=3)
    browser.versions("mnist", limit=3)
    clock.now += 1.9
    browser.sample("mnist", 3)
    assert storage.taken()["walk"] == 1

    clock.now += 0.2
    browser.versions("mnist", limit=3)
    assert storage.taken()["walk"] == 1


def test_list_versions_reads_again_what_was_written_again(storage: Counted) -> None:
    clock = Clock()
    browser = Browser(storage, clock)  # type: ignore[arg-type]
    browser.versions("mnist")
    pruned = replace(
        release_record("mnist", 3),
        pruned=Pruned(pruned_at="2026-05-01T00:00:00Z", by="ada", reason="older than 30 days"),
    )
    name = release_name("mnist", pruned.version)
    stored = storage.stat(name)
    storage.replace(name, encode_record(pruned), stored.generation)
    storage.taken()

    clock.now += 60
    rows = {row.version: row for row in browser.versions("mnist").rows}
    assert storage.taken() == {"walk": 1, "read": 1}
    assert rows[pruned.version].pruned_at == "2026-05-01T00:00:00Z"


def test_sample_versions_spreads_evenly_from_the_newest_to_the_oldest(storage: Counted) -> None:
    browser = Browser(storage, Clock())  # type: ignore[arg-type]

    assert [row.step - 1000 for row in browser.sample("mnist", 4).rows] == [11, 7, 4, 0]
    assert len(browser.sample("mnist", 300).rows) == 12
    assert [row.step - 1000 for row in browser.sample("mnist", 1).rows] == [11]


@pytest.mark.parametrize(
    ("weights", "metrics", "expected"),
    [
        ("raw", {"loss": 0.1, "recall": 0.9, "average_recall": 0.95}, "recall"),
        (
            "average",
            {"loss": 0.1, "recall": 0.9, "average_recall": 0.95, "average_loss": 0.1},
            "average_recall",
        ),
        ("raw", {"rmse": 0.1, "zeal": 0.2}, "zeal"),
        ("raw", {"rmse": 0.1}, "rmse"),
        ("raw", {}, None),
    ],
)
def test_choose_headline_metric_takes_one_of_which_more_is_better(
    weights: Any, metrics: dict[str, float], expected: str | None
) -> None:
    checkpoint = replace(checkpoint_record("mnist"), metrics=metrics, lower_is_better=("rmse",))
    bare = replace(checkpoint, metrics={})

    rows = [
        row_of(replace(release_record("mnist"), checkpoint=held, weights=weights))
        for held in (bare, checkpoint)
    ]
    assert headline_metric(rows) == expected
