"""Buckets as teams have them, with what the local storage server lacks: customers' keys, holds, retention."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import RetryError

from redraw.errors import (
    ObjectConflict,
    StorageError,
    StorageForbidden,
    StorageUnavailable,
    VerificationFailed,
)
from redraw.publish.bucket.layout import encode_record
from redraw.publish.live.set_live import change_live
from redraw.publish.mirror import mirror_versions
from redraw.publish.prune.index import ReleaseIndex
from redraw.publish.prune.prune import prune_versions
from redraw.publish.releases import list_releases
from redraw.publish.verify import verify_version
from redraw.records import Release
from redraw.requests import LiveRequest, MirrorRequest, PruneRequest, ReleasesRequest, VerifyRequest
from redraw.storage.gcs_retry import Patience, Progress
from redraw.storage.opening import Absent, AlreadyThere, FileAltered, open_storage, write_uri
from tests.publishing.exports import small_files, write_export
from tests.publishing.faults import Fault, Flip, HangUp, Moment, Refuse
from tests.publishing.proxy import FaultyProxy
from tests.publishing.served import demand_servable

DAYS = ("2024-05-01", "2024-05-02", "2024-05-03")


@pytest.fixture
def through(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, unloadable: None) -> FaultyProxy:
    """The proxy, which this process asks."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    return proxy


def _publish(bucket: str, folder: Path) -> list[int]:
    for day in DAYS:
        export = write_export(folder / day, small_files(day.encode()), f"{day}T00:00:00Z")
        export.publish(bucket)
    return [int(day.replace("-", "") + "00000000") for day in DAYS]


def _releases(bucket: str) -> tuple[Release, ...]:
    return list_releases(ReleasesRequest(model="digits", bucket=bucket)).releases


def _prune(bucket: str) -> Any:
    return prune_versions(PruneRequest(model="digits", bucket=bucket, keep=1, apply=True))


def test_listings_without_checksums_are_completed_by_every_command(
    bucket: str, through: FaultyProxy, tmp_path: Path
) -> None:
    through.checksums = False
    versions = _publish(bucket, tmp_path)
    assert [release.version for release in _releases(bucket)] == versions[::-1]
    assert verify_version(VerifyRequest(uri=f"{bucket}/digits/{versions[2]}")).passed
    assert change_live(LiveRequest(model="digits", bucket=bucket, previous=True)).version == versions[1]
    request = MirrorRequest(bucket=bucket, out=str(tmp_path / "mirror"), model=("digits",))
    assert mirror_versions(request).models[0].versions == (versions[1],)
    assert [gone.version for gone in _prune(bucket).removed] == [versions[0]]


def test_listing_without_checksums_asks_each_object_once(
    bucket: str, through: FaultyProxy, tmp_path: Path
) -> None:
    _publish(bucket, tmp_path)
    through.checksums = False
    through.requests.clear()
    listed = open_storage(bucket).list("digits/")
    assert [request.operation for request in through.requests].count("stat") == len(listed)
    assert all(item.crc32c is not None for item in listed)


@pytest.mark.parametrize(
    "protection",
    [
        {"temporaryHold": True},
        {"eventBasedHold": True},
        {"retentionExpirationTime": "2099-01-01T00:00:00Z"},
    ],
    ids=lambda protection: next(iter(protection)),
)
@pytest.mark.parametrize("part", ["variables/variables.data", "saved_model.pb", "graphs.svg"])
def test_prune_leaves_a_protected_version_whole_and_says_so(
    bucket: str, through: FaultyProxy, tmp_path: Path, protection: dict[str, object], part: str
) -> None:
    first, second, third = _publish(bucket, tmp_path)
    change_live(LiveRequest(model="digits", bucket=bucket, set=third))
    fourth = write_export(tmp_path / "4", small_files(b"4"), "2024-05-04T00:00:00Z")
    fourth.publish(bucket)
    through.features.kept = {f"{first}/{part}" if part != "graphs.svg" else f"reports/{first}/": protection}
    before = [item.name for item in open_storage(bucket).list(f"digits/{first}/")]

    report = _prune(bucket)

    assert [gone.version for gone in report.removed] == [second]
    expected = "a retention policy until 2099" if "retentionExpirationTime" in protection else "a hold keeps"
    assert report.kept[str(first)].startswith(expected)
    assert [item.name for item in open_storage(bucket).list(f"digits/{first}/")] == before
    standing = {release.version: release.pruned is None for release in _releases(bucket)}
    assert (standing[first], standing[second]) == (True, False)
    through.features.kept = {}
    assert [gone.version for gone in _prune(bucket).removed] == [first]


def test_prune_of_a_version_whose_record_is_protected_goes_on_with_the_others(
    bucket: str, through: FaultyProxy, tmp_path: Path
) -> None:
    first, second, _ = _publish(bucket, tmp_path)
    write_export(tmp_path / "4", small_files(b"4"), "2024-05-04T00:00:00Z").publish(bucket)
    through.features.kept = {f"releases/{first}.json": {"temporaryHold": True}}
    report = _prune(bucket)
    assert [gone.version for gone in report.removed] == [second]
    assert "the release record cannot be replaced" in report.kept[str(first)]


def test_object_that_is_protected_is_named_with_the_cause_and_no_advice_on_roles(
    bucket: str, through: FaultyProxy
) -> None:
    storage = open_storage(bucket)
    stored = storage.create("digits/a", b"a")
    through.features.kept = {"digits/a": {"temporaryHold": True}}
    with pytest.raises(StorageForbidden, match="under active Temporary hold") as raised:
        storage.replace("digits/a", b"b", stored.generation)
    assert "service account" not in str(raised.value)


_PAYS_NOT = "Bucket is a requester pays bucket but no user project provided."


def test_request_that_nobody_pays_for_says_what_to_set(bucket: str, through: FaultyProxy) -> None:
    through.features.payer = "our-project"
    with pytest.raises(StorageForbidden, match=f"{_PAYS_NOT}.*REDRAW_USER_PROJECT.*user_project"):
        open_storage(bucket).read("digits/a")


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("redraw@x does not have storage.objects.get access to the object.", "Grant the service account"),
        ("The billing account for the owning project is disabled in state absent", "A role cannot fix this"),
        (
            "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: 7",
            "A role cannot",
        ),
        ("redraw@x does not have serviceusage.services.use access to project 7.", "REDRAW_USER_PROJECT"),
        (
            "Object 'b/o' is subject to bucket's retention policy and cannot be deleted",
            "retention .* removed",
        ),
    ],
)
def test_refusal_names_the_cause_that_the_service_gives(
    bucket: str, through: FaultyProxy, said: str, advice: str
) -> None:
    through.faults = [Fault(action=Refuse(status=403, message=said), count=99)]
    with pytest.raises(StorageForbidden, match=f"{re.escape(said[:100])}.*{advice}"):
        open_storage(bucket).read("digits/a")


def test_permission_to_create_suffices_to_write_a_new_report(bucket: str, through: FaultyProxy) -> None:
    through.granted = frozenset({"storage.objects.create"})
    write_uri(f"{bucket}/run/report.json", b"one")
    through.granted = None
    write_uri(f"{bucket}/run/report.json", b"two")
    assert open_storage(bucket).read("run/report.json") == b"two"


def test_absent_object_below_a_prefix_is_absent_to_those_who_may_list_that_alone(
    bucket: str, through: FaultyProxy
) -> None:
    through.features.prefix = "digits/"
    for ask in ("stat", "read", "read_with_generation"):
        assert getattr(open_storage(bucket), ask)("digits/a") is None
    open_storage(bucket).delete("digits/a", 5)
    with pytest.raises(Absent):
        open_storage(bucket).read_range("digits/a", 0, 5)
    with pytest.raises(StorageForbidden, match=r"storage\.objects\.list"):
        open_storage(bucket).list()


def test_message_names_the_request_that_failed_and_not_an_answer_before_it(
    bucket: str, through: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_STORAGE_TIMEOUT", "0.5")
    through.faults = [Fault(action=HangUp(), operation="list", count=99)]
    with pytest.raises(StorageUnavailable, match="expected an answer of Cloud Storage") as raised:
        open_storage(bucket).read("digits/a")  # which is absent: the bucket is asked for then
    assert "404" not in str(raised.value)
    assert "reset" in str(raised.value)


def test_upload_that_was_altered_on_the_way_is_sent_again(
    bucket: str, through: FaultyProxy, tmp_path: Path
) -> None:
    through.altering = False
    through.faults = [Fault(action=Flip(), moment=Moment.SENDING, operation="create", count=1)]
    source = tmp_path / "shard"
    source.write_bytes(b"weights" * 500_000)
    stored = open_storage(bucket).create("digits/a", source)
    assert [request.operation for request in through.requests] == ["create", "create"]
    assert open_storage(bucket).stat("digits/a") == stored
    for kind in ("read", "stat"):  # and down again
        through.requests.clear()
        through.faults = [Fault(action=Flip(), moment=Moment.ANSWERING, operation="read", count=1)]
        if kind == "read":
            assert open_storage(bucket).read("digits/a", 1 << 23) == source.read_bytes()
        else:
            open_storage(bucket).download("digits/a", tmp_path / "copy")
            assert (tmp_path / "copy").read_bytes() == source.read_bytes()
        assert [request.operation for request in through.requests].count("read") == 2


@pytest.mark.parametrize(("moving", "attempts"), [(600.0, 4), (0.0, 1)], ids=["bytes moved", "silence"])
def test_transfer_that_takes_longer_than_the_timeout_is_still_retried(
    monkeypatch: pytest.MonkeyPatch, moving: float, attempts: int
) -> None:
    clock, progress, calls = [0.0], Progress(), list[float]()
    monkeypatch.setattr("redraw.storage.gcs_retry.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("redraw.storage.gcs_retry.time.sleep", lambda seconds: None)
    monkeypatch.setattr("redraw.storage.gcs_retry.exponential_sleep_generator", lambda *_: repeat(10.0))

    def send() -> None:
        """Ten minutes of content, and a connection that is lost then."""
        calls.append(clock[0])
        clock[0] += 600
        if moving:
            progress.move()
        raise ConnectionResetError("by the peer")

    with pytest.raises(RetryError):
        Patience(35.0).keep_trying(send, progress)
    assert len(calls) == attempts


def test_download_that_was_interrupted_goes_on_where_it_stopped(
    bucket: str, through: FaultyProxy, tmp_path: Path
) -> None:
    source = tmp_path / "shard"
    source.write_bytes(b"weights" * 1_000_000)
    open_storage(bucket).create("digits/a", source)
    through.faults = [Fault(action=HangUp(), moment=Moment.ANSWERING, operation="read", count=1)]
    open_storage(bucket).download("digits/a", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert [request.operation for request in through.requests].count("read") == 2
    # What was under way when the connection broke is asked for again.
    assert through.fetched < 1.6 * source.stat().st_size


@pytest.mark.parametrize("honoured", [True, False])
def test_large_file_is_sent_alone_where_the_server_honours_precondition_and_checksum(
    bucket: str, through: FaultyProxy, tmp_path: Path, honoured: bool
) -> None:
    through.features.media = honoured
    source = tmp_path / "shard"
    source.write_bytes(b"weights" * 1_300_000)
    storage = open_storage(bucket)
    through.faults = [Fault(action=HangUp(), moment=Moment.SENDING, operation="create", name="m/a", count=1)]
    stored = storage.create("m/a", source)
    with pytest.raises(AlreadyThere):
        storage.create("m/a", source)
    with pytest.raises(FileAltered):
        storage.create("m/b", source, sha256="0" * 64)
    assert storage.list() == [stored]  # nothing is left of the trial, nor of the altered file
    trials = [request for request in through.requests if "/.redraw-" in request.name]
    assert [request.operation for request in trials] == (
        ["replace", "create"] if honoured else ["replace", "delete"]
    )
    (tmp_path / "copy").unlink(missing_ok=True)
    storage.download("m/a", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()


def test_object_with_wrong_bytes_is_reported_with_the_command_that_removes_it(
    bucket: str, through: FaultyProxy, tmp_path: Path
) -> None:
    export = write_export(tmp_path / "1", small_files(), f"{DAYS[0]}T00:00:00Z")
    export.publish(bucket)
    storage, name = open_storage(bucket), f"digits/{DAYS[0].replace('-', '')}00000000/saved_model.pb"
    stored = storage.stat(name)
    assert stored is not None
    wrong = storage.replace(name, b"other", stored.generation)
    command = f"gcloud storage rm '{bucket}/{name}#{wrong.generation}'"
    with pytest.raises(ObjectConflict, match=re.escape(command)):
        export.publish(bucket)
    with pytest.raises(VerificationFailed, match=re.escape(command)):
        verify_version(VerifyRequest(uri=f"{bucket}/{name.rpartition('/')[0]}"))


def test_description_of_another_form_is_a_storage_error(
    bucket: str, through: FaultyProxy, tmp_path: Path
) -> None:
    storage = open_storage(bucket)
    storage.create("digits/a", b"a")
    through.features.kept = {"digits/a": {"size": "many"}}
    with pytest.raises(StorageError, match="expected an object's name, size, crc32c and generation"):
        storage.list("digits/")


def test_prune_says_what_the_bucket_keeps_and_bills_of_what_is_removed(
    bucket: str, through: FaultyProxy, tmp_path: Path
) -> None:
    _publish(bucket, tmp_path)
    through.features.versioned = True
    through.features.soft_deleted = "2099-01-08T00:00:00Z"
    through.features.storage_class, through.features.created = "ARCHIVE", "2026-11-01T00:00:00Z"
    looked = prune_versions(PruneRequest(model="digits", bucket=bucket, keep=1))
    (early,) = looked.notes
    assert re.match(r"\d{4,} bytes are billed until 2027-11-01T00:00:00Z at the latest", early)
    assert _prune(bucket).notes == (
        early,
        "object versioning keeps what was removed, and bills it, until a lifecycle rule deletes it",
        "soft delete keeps what was removed, and bills it, until 2099-01-08T00:00:00Z",
    )


@pytest.mark.parametrize("batches", [True, False], ids=["batches", "one by one"])
def test_prune_deletes_many_at_once_where_the_server_takes_that(
    bucket: str, through: FaultyProxy, tmp_path: Path, batches: bool
) -> None:
    first, *_ = _publish(bucket, tmp_path)
    storage, folders = open_storage(bucket), (f"digits/{first}/", f"digits/reports/{first}/")
    held = sum(len(storage.list(folder)) for folder in folders)
    through.features.batches = batches
    through.requests.clear()
    assert [gone.version for gone in _prune(bucket).removed] == [first]
    operations = [request.operation for request in through.requests]
    # The graph has none to come with; the next request has all that is left.
    assert (operations.count("batch"), operations.count("delete")) == ((1, 1) if batches else (1, held))
    assert [item.name for folder in folders for item in storage.list(folder)] == []


def test_delete_many_leaves_an_object_that_was_written_again(bucket: str, through: FaultyProxy) -> None:
    storage = open_storage(bucket)
    listed = [storage.create(f"digits/{number}", b"a") for number in range(250)]
    again = storage.replace("digits/7", b"b", listed[7].generation)
    through.faults = [
        Fault(action=HangUp(), moment=Moment.ACTED, operation="batch", count=1)
    ]  # an answer is lost
    storage.delete_many(listed)
    assert storage.list("digits/") == [again]
    operations = [request.operation for request in through.requests]
    assert (operations.count("batch"), operations.count("delete")) == (4, 0)


def test_delete_many_says_of_what_it_may_not_delete_why(bucket: str, through: FaultyProxy) -> None:
    storage = open_storage(bucket)
    listed = [storage.create(f"digits/{number}", b"a") for number in range(5)]
    through.features.kept = {"digits/3": {"temporaryHold": True}}
    with pytest.raises(StorageForbidden, match="digits/3: .* under active Temporary hold"):
        storage.delete_many(listed)
    assert [item.name for item in storage.list("digits/")] == ["digits/3"]


def test_prune_that_meets_a_hold_no_listing_shows_says_so_and_the_next_one_finishes(
    bucket: str, through: FaultyProxy, tmp_path: Path
) -> None:
    first, *_ = _publish(bucket, tmp_path)
    said = "Object 'a' is subject to bucket's retention policy and cannot be deleted until 2030-01-01"
    through.faults = [Fault(action=Refuse(status=403, message=said), operation="delete", name="variables")]
    with pytest.raises(StorageForbidden, match=f"variables.*{said}"):
        _prune(bucket)
    assert any("variables" in item.name for item in open_storage(bucket).list(f"digits/{first}/"))
    demand_servable(bucket)
    through.faults = []
    _prune(bucket)
    assert open_storage(bucket).list(f"digits/{first}/") == []


def test_prune_reads_of_a_long_history_what_changed(
    bucket: str, through: FaultyProxy, tmp_path: Path
) -> None:
    times = [f"2024-0{month}-{day:02}T00:00:00Z" for month in range(1, 4) for day in range(1, 8)]
    for number, time in enumerate(times):
        write_export(tmp_path / str(number), small_files(time.encode()), time).publish(bucket)
    _prune(bucket)
    write_export(tmp_path / "new", small_files(b"new"), "2024-04-01T00:00:00Z").publish(bucket)
    for name in ("index.json", ""):  # with the index, then without it
        through.requests.clear()
        looked = prune_versions(PruneRequest(model="digits", bucket=bucket, keep=1))
        assert [gone.version for gone in looked.removed] == [2024030600000000]
        read = [r.name for r in through.requests if r.operation == "read" and "/releases/2" in r.name]
        assert len(read) == (2 if name else 22)
        if name:
            storage = open_storage(bucket)
            (index,) = storage.list("digits/releases/index.json")
            storage.delete(index.name, index.generation)


def test_prune_does_not_believe_an_index_that_others_wrote(
    bucket: str, through: FaultyProxy, tmp_path: Path
) -> None:
    versions = _publish(bucket, tmp_path)
    write_export(tmp_path / "4", small_files(b"4"), "2024-05-04T00:00:00Z").publish(bucket)
    _prune(bucket)
    storage, name = open_storage(bucket), "digits/releases/index.json"
    found = storage.read_with_generation(name)
    assert found is not None
    index = ReleaseIndex.from_text(found[0], name)
    gone = next(entry for entry in index.releases if entry.version == versions[0])
    raised = replace(gone, version=2099010100000000, pruned_at=None)
    standing = tuple(replace(entry, pushed_at="2020-01-01T00:00:00Z") for entry in index.releases)
    for forged in (replace(index, releases=standing), replace(index, releases=(raised, *index.releases))):
        current = storage.read_with_generation(name)
        assert current is not None
        storage.replace(name, encode_record(forged), current[1])
        request = PruneRequest(model="digits", bucket=bucket, keep=0, keep_days=1)
        assert prune_versions(request).removed == ()


def test_prune_removes_what_a_push_left_that_was_stopped_while_its_version_was_pruned(
    bucket: str, through: FaultyProxy, tmp_path: Path
) -> None:
    first, *_ = _publish(bucket, tmp_path)
    assert [gone.version for gone in _prune(bucket).removed] == [first]
    open_storage(bucket).create(f"digits/{first}/saved_model.pb", b"graph")  # and the push was killed
    assert _prune(bucket).removed == ()
    assert open_storage(bucket).list(f"digits/{first}/") == []
