"""Publish a validated export: exactly once, never half, never backwards.

    claim ─► data shards ─► index ─► assets ─► saved_model.pb ─► listing compared ─► signature
          ─► attachments ─► passport ─► release record ─► live

Every step creates what is missing and accepts what is there already with the same
content, so a push that was stopped anywhere is run again and resumes, and several
at once end as one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from redraw.errors import InvalidRecord, NotValidated, OlderThanLive, VersionRejected
from redraw.publish.asking import who_asks
from redraw.publish.bucket.attachments import name_attachments
from redraw.publish.bucket.layout import ATTACHMENT_BYTES, Claim
from redraw.publish.events.deliver import announce
from redraw.publish.events.derive import last_event, push_event
from redraw.publish.live.set_live import move_pointer
from redraw.publish.push.objects import publish_objects
from redraw.publish.push.release import Candidate, write_release
from redraw.publish.push.sources import open_source
from redraw.publish.push.versions import claim_version
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
        storage: The model bucket, opened already; so that many pushes share its connections.

    Returns:
        The release record as it stands in the bucket: the first push's, where the same
        export has been published before.

    Raises:
        NotValidated: No passing report for exactly these files.
        InvalidRecord: A record of another model, or damaged.
        InvalidName: A model, bucket or attachment whose name could lead elsewhere.
        ObjectConflict: Something else is where the version has to go.
        SignatureInvalid: It was to be signed, and has a signature of another key.
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
        wanted = Claim(
            model=export.model,
            version=0,
            digest=export.digest,
            checkpoint_digest=export.checkpoint.digest,
            manifest=list_files(source.files),
            step=export.checkpoint.step,
        )
        claim = claim_version(storage, wanted, export.checkpoint.trained_at)
        generations = publish_objects(storage, claim, source)
    return write_release(storage, claim, candidate, generations)


def _why_worse(attachments: Mapping[str, str]) -> str:
    """Why the version should not become live by itself; empty if it may, or nobody compared it."""
    uri = attachments.get(METRICS_NAME)
    content = None if uri is None else read_uri(uri, ATTACHMENT_BYTES)
    return "" if content is None else read_measured(content, str(uri)).worse


def _make_live(storage: Storage, release: Release, request: PushRequest) -> tuple[ModelEvent, ...]:
    try:
        change = PointerChange(
            version=release.version,
            changed_at=now(),
            by=who_asks(request.by),
            reason="pushed",
            allow_rejected=request.allow_rejected or "",
        )
        pointer = move_pointer(storage, release.model, change)
    except (OlderThanLive, VersionRejected) as err:
        # A backfill publishes old weights, and a schedule may repeat what people rolled back from.
        _logger.warning("published, but not made live: %s", err)
        return ()
    return last_event(storage.uri / release.model, pointer, change, release)


def read_export(request: PushRequest) -> ExportedModel:
    """The export's record, as given or from the file next to the SavedModel's folder.

    Returns:
        The record; its URI is the folder that was named.

    Raises:
        InvalidRecord: There is no such record, or it is of another model.
    """
    given = request.saved_model
    if isinstance(given, Uri):
        where = given.with_ending(".json")
        content = _demand_content(where, "the record that export writes next to the SavedModel")
        given = replace(ExportedModel.from_text(content, where), uri=given)
    _demand_model(request.model, given.model, f"export {given.uri}")
    return given


def _read_report(request: PushRequest) -> ValidationReport:
    """The validation report, as given or from its file.

    Raises:
        InvalidRecord: There is no such report, or it is of another model.
    """
    given = request.report
    where = "report"
    if isinstance(given, Uri):
        where = f"report {given}"
        content = _demand_content(given, "the report that validate writes")
        given = ValidationReport.from_text(content, given)
    _demand_model(request.model, given.model, where)
    return given


def _demand_validated(export: ExportedModel, report: ValidationReport) -> None:
    """Demand that the report is of this export, and lets it pass."""
    if report.digest != export.digest:
        raise NotValidated(
            f"{export.uri}: expected a report of its digest {export.digest}, got one of {report.digest}."
            " Validate this export."
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
        raise InvalidRecord(f"{uri}: expected {what}, got no such file. Correct the path.")
    return content


def _demand_model(asked: str, found: str, where: str) -> None:
    if asked != found:
        raise InvalidRecord(
            f"{where}: expected model {asked!r}, got {found!r}. Push it under its own model's name."
        )
