"""Publish a validated export: exactly once, never half, never backwards.

    claim ─► data shards ─► index ─► assets ─► saved_model.pb ─► listing compared ─► signature
          ─► attachments ─► passport ─► release record ─► live

Every step creates the missing objects and accepts existing ones with the same content. So a push that was
stopped anywhere resumes when it is run again, and several pushes at once have one result.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from redraw.errors import InvalidRecord, NotValidated, OlderThanLive, VersionRejected
from redraw.publish.bucket.attachments import name_attachments
from redraw.publish.bucket.layout import ATTACHMENT_BYTES, Claim
from redraw.publish.events.deliver import announce
from redraw.publish.events.derive import last_event, push_event
from redraw.publish.live.set_live import move_pointer
from redraw.publish.push.objects import publish_objects
from redraw.publish.push.release import Candidate, write_release
from redraw.publish.push.sources import open_source
from redraw.publish.push.versions import claim_version
from redraw.publish.requester import name_requester
from redraw.records import ExportedModel, PointerChange, Release, ValidationReport
from redraw.records.attachments import METRICS_NAME, read_measured
from redraw.records.events import ModelEvent
from redraw.records.files import list_files
from redraw.records.times import now
from redraw.requests import PushRequest
from redraw.storage.opening import Storage, open_storage, read_uri
from redraw.uri import Uri

_logger = logging.getLogger(__name__)


def push_model(request: PushRequest, storage: Storage | None = None) -> Release:
    """Publish a validated export as an immutable version, and make it live if asked.

    Args:
        request: The export, its report and the model bucket.
        storage: The model bucket, opened already, so that many pushes share its connections.

    Returns:
        The release record in the bucket: that of the first push, if the same export has been published
        before.

    Raises:
        NotValidated: There is no passing report for exactly these files.
        InvalidRecord: A record is of another model, or damaged.
        InvalidName: The name of a model, bucket or attachment could lead elsewhere.
        ObjectConflict: The version's folder has other objects.
        SignatureInvalid: The version has a signature of another key.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    started = time.monotonic()
    export, report = read_export(request), _read_report(request)
    _demand_validated(export, report)
    attachments = name_attachments(export, report)
    candidate = Candidate(request=request, export=export, report=report, attachments=attachments)
    storage = storage or open_storage(request.bucket)
    release = _publish(storage, candidate)
    events = [push_event(storage.uri / release.model, release)]
    if request.make_live:
        if worse := _why_worse(attachments):
            _logger.warning(
                "published, but not made live: %s. Make it live by hand, or set max_regression.", worse
            )
        else:
            events += _make_live(storage, release, request)
    seconds = time.monotonic() - started
    _logger.info("pushed %s: %s, %d bytes in %.1f s", request.model, release.uri, release.size_bytes, seconds)
    return replace(release, events=announce(events))


def _publish(storage: Storage, candidate: Candidate) -> Release:
    export = candidate.export
    with open_source(export, candidate.report) as source:
        _logger.info("push %s: %s, %d bytes, to %s", export.model, export.uri, export.size_bytes, storage.uri)
        draft = Claim(
            model=export.model,
            version=0,
            digest=export.digest,
            checkpoint_digest=export.checkpoint.digest,
            manifest=list_files(source.files),
            step=export.checkpoint.step,
        )
        claim = claim_version(storage, draft, export.checkpoint.trained_at)
        generations = publish_objects(storage, claim, source)
    return write_release(storage, claim, candidate, generations)


def _why_worse(attachments: Mapping[str, str]) -> str:
    """Why the version should not become live automatically; empty if it may, or was not compared."""
    uri = attachments.get(METRICS_NAME)
    content = None if uri is None else read_uri(uri, ATTACHMENT_BYTES)
    return "" if content is None else read_measured(content, str(uri)).worse


def _make_live(storage: Storage, release: Release, request: PushRequest) -> tuple[ModelEvent, ...]:
    try:
        change = PointerChange(
            version=release.version,
            changed_at=now(),
            by=name_requester(request.by),
            reason="pushed",
            allow_rejected=request.allow_rejected or "",
        )
        pointer = move_pointer(storage, release.model, change)
    except (OlderThanLive, VersionRejected) as err:
        # A backfill publishes old weights, and a schedule may push a version again that was rolled back.
        _logger.warning("published, but not made live: %s", err)
        return ()
    return last_event(storage.uri / release.model, pointer, change, release)


def read_export(request: PushRequest) -> ExportedModel:
    """The export's record: the request's, or read from the file next to the SavedModel's folder.

    Returns:
        The record; its URI is the folder in the request.

    Raises:
        InvalidRecord: There is no such record, or it is of another model.
    """
    export = request.saved_model
    if isinstance(export, Uri):
        where = export.with_ending(".json")
        content = _demand_content(where, "the record that 'redraw export' writes next to the SavedModel")
        export = replace(ExportedModel.from_text(content, where), uri=export)
    _demand_model(request.model, export.model, f"export {export.uri}")
    return export


def _read_report(request: PushRequest) -> ValidationReport:
    """The validation report: the request's, or read from its file.

    Raises:
        InvalidRecord: There is no such report, or it is of another model.
    """
    report = request.report
    where = "report"
    if isinstance(report, Uri):
        where = f"report {report}"
        content = _demand_content(report, "the report that 'redraw validate' writes")
        report = ValidationReport.from_text(content, report)
    _demand_model(request.model, report.model, where)
    return report


def _demand_validated(export: ExportedModel, report: ValidationReport) -> None:
    """Demand that the report is of this export, and that every check passed."""
    if report.digest != export.digest:
        raise NotValidated(
            f"{export.uri}: expected a report of this export (digest {export.digest}), got a report of"
            f" digest {report.digest}. Validate this export: redraw validate."
        )
    failed = [check.name for check in report.checks if check.status == "failed"]
    if failed or not report.passed:
        names = ", ".join(failed) or "the report as a whole"
        raise NotValidated(
            f"{export.uri}: expected a report in which every check passed, got failures of {names}."
            " Correct the export and validate it again."
        )


def _demand_content(uri: Uri, what: str) -> bytes:
    content = read_uri(uri)
    if content is None:
        raise InvalidRecord(f"{uri}: expected {what}, found no such file. Correct the path.")
    return content


def _demand_model(expected: str, actual: str, where: str) -> None:
    if expected != actual:
        raise InvalidRecord(
            f"{where}: expected model {expected!r}, got {actual!r}. Set the model to {actual!r}."
        )
