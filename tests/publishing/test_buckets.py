"""Buckets as teams have them, with what the local storage server lacks: customers' keys, holds, retention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from redraw.errors import StorageError, StorageForbidden
from redraw.publish.live.set_live import change_live
from redraw.publish.mirror import mirror_versions
from redraw.publish.prune.prune import prune_versions
from redraw.publish.releases import list_releases
from redraw.publish.verify import verify_version
from redraw.records import Release
from redraw.requests import LiveRequest, MirrorRequest, PruneRequest, ReleasesRequest, VerifyRequest
from redraw.storage.opening import open_storage
from tests.publishing.exports import small_files, write_export
from tests.publishing.proxy import FaultyProxy

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
    through.kept = {f"{first}/{part}" if part != "graphs.svg" else f"reports/{first}/": protection}
    before = [item.name for item in open_storage(bucket).list(f"digits/{first}/")]

    report = _prune(bucket)

    assert [gone.version for gone in report.removed] == [second]
    expected = "a retention policy until 2099" if "retentionExpirationTime" in protection else "a hold keeps"
    assert report.kept[str(first)].startswith(expected)
    assert [item.name for item in open_storage(bucket).list(f"digits/{first}/")] == before
    standing = {release.version: release.pruned is None for release in _releases(bucket)}
    assert (standing[first], standing[second]) == (True, False)
    through.kept = {}
    assert [gone.version for gone in _prune(bucket).removed] == [first]


def test_prune_of_a_version_whose_record_is_protected_goes_on_with_the_others(
    bucket: str, through: FaultyProxy, tmp_path: Path
) -> None:
    first, second, _ = _publish(bucket, tmp_path)
    write_export(tmp_path / "4", small_files(b"4"), "2024-05-04T00:00:00Z").publish(bucket)
    through.kept = {f"releases/{first}.json": {"temporaryHold": True}}
    report = _prune(bucket)
    assert [gone.version for gone in report.removed] == [second]
    assert "its release record cannot be replaced" in report.kept[str(first)]


def test_object_that_is_protected_is_named_with_the_cause_and_no_advice_on_roles(
    bucket: str, through: FaultyProxy
) -> None:
    storage = open_storage(bucket)
    stored = storage.create("digits/a", b"a")
    through.kept = {"digits/a": {"temporaryHold": True}}
    with pytest.raises(StorageForbidden, match="under active Temporary hold") as raised:
        storage.replace("digits/a", b"b", stored.generation)
    assert "service account" not in str(raised.value)


def test_description_of_another_form_is_a_storage_error(
    bucket: str, through: FaultyProxy, tmp_path: Path
) -> None:
    storage = open_storage(bucket)
    storage.create("digits/a", b"a")
    through.kept = {"digits/a": {"size": "many"}}
    with pytest.raises(StorageError, match="expected an object's name, size, crc32c and generation"):
        storage.list("digits/")
