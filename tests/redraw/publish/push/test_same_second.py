"""Checkpoints that were saved within one second: their versions keep the order of training."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from redraw.errors import InvalidRecord, OlderThanLive
from redraw.publish.bucket.layout import Claim
from redraw.publish.live.set_live import is_older_in_second, move_pointer, read_pointer
from redraw.publish.push.push import push_model
from redraw.publish.push.versions import claim_version, claims_of_second
from redraw.records import ExportedModel, PointerChange, ValidationReport
from redraw.records.times import now
from redraw.requests import PushRequest
from redraw.storage.opening import Storage, open_storage
from redraw.uri import BucketUri
from tests.publishing.exports import small_files, write_export

SECOND = "2025-03-01T12:00:00Z"
STEPS = (10, 20, 30, 40)


@pytest.fixture
def storage(bucket: str) -> Storage:
    """The model bucket."""
    return open_storage(BucketUri(bucket))


def _claim(step: int, *, export: str = "a") -> Claim:
    return Claim(
        model="digits",
        version=0,
        digest=export * 64,
        checkpoint_digest=f"{step:064x}",
        manifest=(),
        step=step,
    )


@pytest.mark.parametrize(
    "order", [*itertools.permutations(STEPS)], ids=lambda order: "-".join(map(str, order))
)
def test_claim_any_order_of_one_second_leaves_the_newest_weights_highest(
    storage: Storage, order: tuple[int, ...]
) -> None:
    versions = {step: claim_version(storage, _claim(step), SECOND).version for step in order}
    assert len(set(versions.values())) == len(STEPS)
    assert max(versions.values()) == versions[max(STEPS)]
    for step in order:  # those that came before it, and are newer, stay above it
        newer = [other for other in order[: order.index(step)] if other > step]
        assert all(versions[step] < versions[other] for other in newer)
    assert set(claims_of_second(storage, "digits", SECOND)) == set(versions.values())


@pytest.mark.parametrize("order", [STEPS, STEPS[::-1]], ids=["forwards", "backwards"])
def test_claim_in_a_backfills_order_gives_the_order_of_training(
    storage: Storage, order: tuple[int, ...]
) -> None:
    versions = {step: claim_version(storage, _claim(step), SECOND).version for step in order}
    assert sorted(versions, key=versions.__getitem__) == list(STEPS)


def test_claim_again_gives_the_same_version_and_another_export_one_below_newer_weights(
    storage: Storage,
) -> None:
    first, newer = (claim_version(storage, _claim(step), SECOND) for step in (10, 20))
    assert claim_version(storage, _claim(10), SECOND) == first
    assert first.version < newer.version
    assert claim_version(storage, _claim(10, export="b"), SECOND).version < newer.version
    assert claim_version(storage, _claim(20, export="b"), SECOND).version > newer.version


def test_claim_of_the_second_before_is_not_in_the_way(storage: Storage) -> None:
    newer, older = (claim_version(storage, _claim(step), SECOND).version for step in (20, 10))
    before = claim_version(storage, _claim(5), "2025-03-01T11:59:59Z").version
    assert before < older < newer
    assert set(claims_of_second(storage, "digits", "2025-03-01T11:59:59Z")) == {before}


def test_claim_from_the_future_is_refused(storage: Storage) -> None:
    ahead = datetime.now(UTC) + timedelta(days=2)
    with pytest.raises(InvalidRecord, match="at most one day after now"):
        claim_version(storage, _claim(10), f"{ahead:%Y-%m-%dT%H:%M:%SZ}")
    assert storage.list("digits/") == []
    tomorrow = datetime.now(UTC) + timedelta(hours=20)
    assert claim_version(storage, _claim(10), f"{tomorrow:%Y-%m-%dT%H:%M:%SZ}").version


def _push(bucket: str, folder: Path, step: int) -> int:
    """Publish an export of a checkpoint of that step, and make it live if that is allowed."""
    export = write_export(folder / f"{step}", small_files(f"graph {step}".encode()), SECOND)
    record = ExportedModel.from_text(Path(f"{export.folder}.json").read_bytes(), "record")
    checkpoint = replace(record.checkpoint, step=step, digest=f"{step:064x}")
    report = ValidationReport.from_text(Path(f"{export.folder}.report.json").read_bytes(), "report")
    request = PushRequest(
        model="digits",
        saved_model=replace(record, checkpoint=checkpoint),
        report=report,
        bucket=bucket,
        make_live=True,
    )
    return push_model(request).version


def test_push_of_older_weights_of_the_same_second_does_not_make_them_live(
    bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    newer, older = (_push(bucket, tmp_path, step) for step in (200, 100))
    assert older < newer
    assert read_pointer(open_storage(bucket), "digits").version == newer
    assert "published, but not made live" in caplog.text


def test_live_compares_the_weights_of_one_second_and_not_their_numbers(bucket: str, tmp_path: Path) -> None:
    older, newer = (_push(bucket, tmp_path, step) for step in (100, 200))
    storage = open_storage(bucket)
    assert is_older_in_second(storage, "digits", older, newer)
    assert not is_older_in_second(storage, "digits", newer, older)
    change = PointerChange(version=older, changed_at=now(), by="test")
    with pytest.raises(OlderThanLive, match=f"{older} was trained before the live version {newer}"):
        move_pointer(storage, "digits", change)
    assert move_pointer(storage, "digits", replace(change, allow_older="a reason")).version == older
