"""The row of one checkpoint, and which errors end the batch instead."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest

from redraw.errors import DiskFull, InvalidRecord, StorageUnavailable
from redraw.records import Checkpoint
from redraw.reexport.job import Job

RECORD = Checkpoint(
    model="mnist",
    uri="/c/7",
    prefix="weights",
    format="tensor_bundle",
    step=7,
    trained_at="2025-03-01T12:00:00Z",
    digest="0" * 64,
    size_bytes=1,
)


def failing(error: Exception) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """One that began two seconds ago, and whose folders do not exist yet."""
    folders = (tmp_path / "exports" / "deep", tmp_path / "reports")
    return Job(uri="/c/7", started=time.monotonic() - 2, folders=folders)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InvalidRecord("expected this,\n  got that."), "expected this, got that."),
        (ValueError("no\tnumber"), "ValueError: no number"),
        (DiskFull("expected more room."), "expected more room."),
    ],
)
def test_attempt_that_fails_for_one_checkpoint_is_a_row_with_the_reason(
    error: Exception, reason: str, job: Job
) -> None:
    row = job.attempt(failing(error))
    assert (row.uri, row.outcome, row.reason) == ("/c/7", "failed", reason)
    assert (row.step, row.trained_at) == (None, None)
    assert 2 <= row.seconds < 200
    job.record = RECORD
    row = job.attempt(failing(error))
    assert (row.step, row.trained_at) == (7, "2025-03-01T12:00:00Z")


def test_attempt_of_a_storage_that_does_not_answer_ends_the_batch(job: Job) -> None:
    with pytest.raises(StorageUnavailable):
        job.attempt(failing(StorageUnavailable("no answer")))


@pytest.mark.parametrize("full", ["exports", "reports"])
def test_attempt_on_a_full_disk_ends_the_batch_if_no_other_checkpoint_fits(
    full: str, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "reports").mkdir()
    free = {tmp_path / name: 1 << 40 for name in ("exports", "reports")} | {tmp_path / full: 1 << 20}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free[path]))
    error = DiskFull("expected more room.")
    assert job.attempt(failing(error)).outcome == "failed"
    free[tmp_path / full] -= 1
    with pytest.raises(DiskFull):
        job.attempt(failing(error))


def test_attempt_that_succeeds_returns_what_the_function_does_and_its_row_names_the_version(job: Job) -> None:
    release = cast(Any, SimpleNamespace(checkpoint=RECORD, version=2025030112000000, digest="d" * 64))
    row = job.attempt(lambda: job.succeeded(release, "already there"))
    assert (row.uri, row.outcome, row.step, row.trained_at) == (
        "/c/7",
        "already there",
        7,
        "2025-03-01T12:00:00Z",
    )
    assert (row.version, row.digest, row.reason) == (2025030112000000, "d" * 64, "")
    assert 2 <= row.seconds < 200
