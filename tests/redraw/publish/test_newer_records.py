"""A record that a newer version of Redraw wrote is refused by itself; everything next to it stays usable."""

from __future__ import annotations

import json
import math

import pytest

from redraw.errors import NewerRecord
from redraw.publish.browse import Browser
from redraw.publish.bucket.layout import live_name, read_release, release_name
from redraw.publish.prune.prune import prune_versions
from redraw.publish.releases import list_releases
from redraw.records import Record, Release
from redraw.requests import PruneRequest, ReleasesRequest
from redraw.storage.opening import Storage, open_storage
from tests.redraw_airflow.web.publications import pointer_record, publish, release_record, version_of

MODEL = "mnist"
NEWER = version_of(1)


def newer(record: Record) -> bytes:
    """What a later version may write: another number, other keys."""
    return json.dumps(record.to_json() | {"schema": 99, "colour": "red"}).encode()


@pytest.fixture
def storage(bucket: str) -> Storage:
    """Three versions, of which the second has a newer record."""
    storage = open_storage(bucket)
    publish(storage, [release_record(MODEL, day) for day in (0, 2)])
    storage.create(release_name(MODEL, NEWER), newer(release_record(MODEL, 1)))
    storage.create(f"{MODEL}/{NEWER}/saved_model.pb", b"graph")
    return storage


def test_read_release_newer_is_refused_in_one_line_with_place_and_advice(storage: Storage) -> None:
    with pytest.raises(NewerRecord) as refused:
        read_release(storage, MODEL, NEWER)
    assert str(refused.value) == (
        f"{storage.uri}/{release_name(MODEL, NEWER)}: Release record: expected schema {Release.schema} or"
        " older, got 99: a newer version of Redraw wrote it. Upgrade Redraw."
    )


def test_list_releases_newer_one_is_listed_apart(storage: Storage) -> None:
    listed = list_releases(ReleasesRequest(model=MODEL, bucket=storage.uri))
    assert [release.version for release in listed.releases] == [version_of(2), version_of(0)]
    (unreadable,) = listed.unreadable
    assert unreadable.uri == f"{storage.uri}/{release_name(MODEL, NEWER)}"
    assert "got 99" in unreadable.reason


def test_prune_newer_version_stays_and_older_ones_go(storage: Storage) -> None:
    publish(storage, [], pointer_record(MODEL, 7))
    storage.create(f"{MODEL}/{version_of(0)}/saved_model.pb", b"graph")
    storage.replace(
        live_name(MODEL),
        json.dumps(pointer_record(MODEL, 7).to_json() | {"pinned": {}}).encode(),
        storage.read_with_generation(live_name(MODEL))[1],  # type: ignore[index]
    )
    report = prune_versions(PruneRequest(model=MODEL, bucket=storage.uri, keep=1, apply=True))
    assert [gone.version for gone in report.removed] == [version_of(0)]
    assert "got 99" in report.kept[str(NEWER)]
    assert storage.read(f"{MODEL}/{NEWER}/saved_model.pb") == b"graph"
    assert storage.read(f"{MODEL}/{version_of(0)}/saved_model.pb") is None


def test_browse_newer_version_is_a_row_that_says_why(storage: Storage) -> None:
    page = Browser(storage).versions(MODEL)
    assert page.total == 3
    assert [row.version for row in page.rows] == [version_of(2), version_of(0)]
    assert [row.version for row in page.unreadable] == [NEWER]
    assert "Upgrade Redraw" in page.unreadable[0].problem


def test_browse_newer_pointer_leaves_the_other_models_alone(storage: Storage) -> None:
    storage.create(live_name(MODEL), newer(pointer_record(MODEL, 2)))
    publish(storage, [release_record("recommender", 3)], pointer_record("recommender", 3))
    rows = {row.name: row for row in Browser(storage).known_models(math.inf)[0]}
    assert rows[MODEL].live is None
    assert "LivePointer record: expected schema" in rows[MODEL].live_problem
    assert rows[MODEL].versions == 3
    assert (rows["recommender"].live, rows["recommender"].live_problem) == (version_of(3), "")
