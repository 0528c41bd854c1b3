"""A roll-back leads back, however often it is repeated and wherever it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from redraw.errors import ObjectConflict, StorageForbidden, StorageUnavailable, VersionRejected
from redraw.publish.live.pointer import read_pointer
from redraw.publish.live.serving_config import read_served_versions
from redraw.publish.live.set_live import change_live
from redraw.publish.push.push import push_model
from redraw.records import ExportedModel, LivePointer, ValidationReport
from redraw.requests import LiveRequest, PushRequest
from redraw.storage.opening import open_storage
from tests.publishing.exports import small_files, write_export
from tests.publishing.faults import Fault, Moment, Refuse
from tests.publishing.proxy import FaultyProxy

GOOD, BAD = 2024050100000000, 2024050200000000

Live = Callable[..., LivePointer]


@pytest.fixture
def live(bucket: str, unloadable: None) -> Live:
    """Asks for the live pointer of `digits`, or for a change."""
    return lambda **fields: change_live(LiveRequest(model="digits", bucket=bucket, **fields))


@pytest.fixture
def pushed(bucket: str, tmp_path: Path) -> Callable[[int], Any]:
    """Publishes a version, and asks for it to be live."""

    def push(version: int, **fields: Any) -> Any:
        time = f"2024-05-0{str(version)[7]}T00:00:00Z"
        folder = tmp_path / str(version)
        if not folder.exists():
            write_export(folder, small_files(f"graph {version}".encode()), time)
        record, report = (Path(f"{folder}{end}").read_bytes() for end in (".json", ".report.json"))
        request = PushRequest(
            model="digits",
            saved_model=ExportedModel.from_text(record, "record"),
            report=ValidationReport.from_text(report, "report"),
            bucket=bucket,
            make_live=True,
            **fields,
        )
        return push_model(request)

    for version in (GOOD, BAD):
        push(version)
    return push


def _served(bucket: str) -> list[int]:
    return sorted(read_served_versions(open_storage(bucket), "digits"))


def test_roll_back_that_fails_at_the_servers_configuration_is_repeated_and_stays_back(
    bucket: str, live: Live, pushed: Any, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    proxy.granted = frozenset({"storage.objects.list", "storage.objects.get", "storage.objects.create"})
    with pytest.raises(
        StorageForbidden,
        match=f"version {GOOD} is live, but models.config or a deployment file",
    ):
        live(previous=True, from_version=BAD, reason="misreads sevens", by="ada")
    assert _served(bucket) == [BAD]

    proxy.granted = None
    pointer = live(previous=True, from_version=BAD)

    assert (pointer.version, pointer.previous) == (GOOD, BAD)
    assert _served(bucket) == [GOOD]
    assert read_pointer(open_storage(bucket), "digits") == pointer
    assert pointer.rejected == {str(BAD): "ada: misreads sevens"}


def test_roll_back_repeated_without_a_version_does_not_go_forward(
    bucket: str, live: Live, pushed: Any
) -> None:
    live(previous=True, by="ada")
    with pytest.raises(
        VersionRejected, match=f"version {BAD} was rejected by a roll-back: ada: no reason given"
    ):
        live(previous=True)
    assert (read_pointer(open_storage(bucket), "digits").version, _served(bucket)) == (GOOD, [GOOD])


def test_roll_back_from_a_version_that_somebody_else_moved_is_refused(live: Live, pushed: Any) -> None:
    with pytest.raises(ObjectConflict, match=f"expected the live version {GOOD}, got {BAD}"):
        live(previous=True, from_version=GOOD)


def test_push_again_of_a_rejected_version_does_not_make_it_live(
    bucket: str, live: Live, pushed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    live(previous=True, reason="misreads sevens")
    assert pushed(BAD).version == BAD
    assert "published, but not made live" in caplog.text
    assert live().version == GOOD
    pushed(BAD, allow_rejected="sevens are right after all")
    pointer = live()
    assert (pointer.version, pointer.rejected) == (BAD, {})
    assert pointer.history[-1].allow_rejected == "sevens are right after all"


def test_set_older_weights_rejects_what_it_leaves(live: Live, pushed: Any) -> None:
    pointer = live(set=GOOD, allow_older="biased", by="ada")
    assert pointer.rejected == {str(BAD): "ada: biased"}
    with pytest.raises(VersionRejected):
        live(set=BAD)
    assert live(set=BAD, allow_rejected="it was not").rejected == {}


@pytest.fixture
def lost(bucket: str, pushed: Any) -> Iterator[Callable[[str], None]]:
    """Deletes an object of the model."""
    storage = open_storage(bucket)

    def lose(name: str) -> None:
        found = storage.stat(f"digits/{name}")
        assert found is not None
        storage.delete(found.name, found.generation)

    return lose


def test_pointer_whose_copy_is_lost_is_read_from_its_numbers(
    bucket: str, live: Live, lost: Callable[[str], None]
) -> None:
    before = live()
    lost("live.json")
    lost("models.config")
    assert read_pointer(open_storage(bucket), "digits") == before
    assert live() == before  # and any command puts both back
    assert open_storage(bucket).read("digits/live.json") == open_storage(bucket).read(
        f"digits/live/{before.number:08d}.json"
    )
    assert _served(bucket) == [BAD]


def test_pointer_whose_copy_cannot_be_replaced_still_moves(
    bucket: str, live: Live, pushed: Any, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a bucket with a retention policy."""
    copy = open_storage(bucket).read("digits/live.json")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    proxy.granted = frozenset({"storage.objects.list", "storage.objects.get", "storage.objects.create"})
    for _ in range(4):  # more changes than a reader looks ahead
        with pytest.raises(StorageForbidden):
            live(previous=True)
        live(set=BAD, allow_rejected="a test")  # which models.config still names
    assert open_storage(bucket).read("digits/live.json") == copy
    assert read_pointer(open_storage(bucket), "digits").number == 10


@pytest.mark.parametrize("moment", [Moment.ARRIVED, Moment.ACTED])
def test_change_whose_answer_is_lost_is_made_once(
    bucket: str, live: Live, pushed: Any, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, moment: Moment
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    proxy.faults = [Fault(action=Refuse(status=503), moment=moment, name="digits/live/00000003.json")]
    try:
        live(previous=True, from_version=BAD)
    except (StorageUnavailable, VersionRejected):
        live(previous=True, from_version=BAD)
    pointer = read_pointer(open_storage(bucket), "digits")
    assert (pointer.version, pointer.number) == (GOOD, 3)
