"""What people look at goes into the bucket next to the version, or is left out, and never stops a push."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import redraw.publish.bucket.attachments
from redraw.errors import InvalidName
from redraw.publish.passport.passport import PASSPORT_FILES
from redraw.publish.push.push import push_model
from redraw.records import Release
from redraw.requests import PushRequest
from redraw.storage.opening import open_storage

pytestmark = pytest.mark.usefixtures("gcs_server", "loadable")


def _kept(bucket: str, release: Release) -> dict[str, bytes | None]:
    """Name to content of the release's attachments, as the bucket has them."""
    return {name: open_storage(bucket).read(file.name) for name, file in release.attachments.items()}


def _there(bucket: str) -> set[str]:
    return {item.name for item in open_storage(bucket).list("digits/reports/")}


def _records_of(export: Any, bucket: str, **attachments: str) -> PushRequest:
    """The request with the records themselves, and these attachments in addition to the export's own."""
    named = {**export.report.attachments, **attachments}
    report = replace(export.report, attachments=named)
    return PushRequest(model="digits", saved_model=export.record, report=report, bucket=bucket)


def test_push_keeps_attachments_and_ledger_under_their_content(bucket: str, make_export: Any) -> None:
    release = push_model(make_export().request(bucket))
    kept = _kept(bucket, release)
    assert {name: kept[name] for name in kept.keys() - set(PASSPORT_FILES)} == {
        "graphs.svg": b"<svg/>",
        "ledger.json": b'{"record": "Ledger"}',
    }
    for name, file in release.attachments.items():
        sha256 = hashlib.sha256(kept[name] or b"").hexdigest()
        assert (file.sha256, file.size) == (sha256, len(kept[name] or b""))
        assert file.name == f"digits/reports/{release.version}/{sha256[:16]}-{name}"
    assert _there(bucket) == {file.name for file in release.attachments.values()}


def test_push_same_export_validated_again_keeps_the_first_report(bucket: str, make_export: Any) -> None:
    export = make_export()
    first = push_model(export.request(bucket))
    Path(f"{export.folder}.graphs.svg").write_text("<svg>drawn again</svg>")
    assert push_model(export.request(bucket)) == first
    assert _there(bucket) == {file.name for file in first.attachments.values()}


def test_push_export_in_a_bucket_keeps_what_lies_beside_it(bucket: str, make_export: Any) -> None:
    export = make_export()
    scratch = open_storage(f"{bucket}/scratch")
    scratch.create("ledger.json", b"far away")
    record = replace(export.record, ledger_uri=f"{bucket}/scratch/ledger.json")
    release = push_model(replace(_records_of(export, bucket), saved_model=record))
    assert _kept(bucket, release)["ledger.json"] == b"far away"


def _remove(path: Path) -> None:
    path.unlink()


def _grow(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(101)


@pytest.mark.parametrize(("spoil", "reason"), [(_remove, "no such file"), (_grow, "more than 100 bytes")])
def test_push_attachment_that_cannot_be_kept_is_left_out_and_logged(
    bucket: str,
    make_export: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], None],
    reason: str,
) -> None:
    monkeypatch.setattr(redraw.publish.bucket.attachments, "ATTACHMENT_BYTES", 100)
    export = make_export()
    spoil(Path(f"{export.folder}.graphs.svg"))
    with caplog.at_level(logging.WARNING):
        release = push_model(export.request(bucket))
    assert release.attachments.keys() == {"ledger.json", *PASSPORT_FILES}
    (warning,) = [record.getMessage() for record in caplog.records]
    assert f"{export.folder}.graphs.svg" in warning
    assert reason in warning


@pytest.mark.parametrize(
    "name", ["../live.json", "a/b.html", "", ".html", "report", "Report.html", "a\n.html"]
)
def test_push_attachment_with_an_odd_name_is_refused_before_anything_is_sent(
    bucket: str, make_export: Any, name: str
) -> None:
    with pytest.raises(InvalidName, match="attachment"):
        push_model(_records_of(make_export(), bucket, **{name: "/any"}))
    assert open_storage(bucket).list() == []


def test_read_release_of_a_time_without_attachments_has_none(bucket: str, make_export: Any) -> None:
    fields = push_model(make_export().request(bucket)).to_json()
    del fields["attachments"]
    assert Release.from_json(fields).attachments == {}
