"""Publish a validated export: exactly once, never half, never backwards.

    claim ─► data shards ─► index ─► assets ─► saved_model.pb ─► listing compared ─► release record ─► live

Every step creates what is missing and accepts what is there already with the same
content, so a push that was stopped anywhere is run again and carries on, and several
at once end as one.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from tasks.errors import OlderThanLive, StorageUnavailable
from tasks.files import TreeScan
from tasks.live import move_pointer, read_pointer
from tasks.names import check_bucket, check_model_name
from tasks.published import (
    Claim,
    encode_record,
    manifest_of,
    read_release,
    release_name,
    version_folder,
)
from tasks.push.exports import demand_validated, local_files, read_export, read_report
from tasks.push.objects import publish_objects
from tasks.push.versions import claim_version
from tasks.records import ExportedModel, Release, ValidationReport
from tasks.requests import PushRequest
from tasks.storage import AlreadyThere, Storage, open_storage

__all__ = ["push_model"]

_logger = logging.getLogger(__name__)


def push_model(request: PushRequest) -> Release:
    """Publish a validated export as an immutable version, and make it live if asked.

    Args:
        request: The export, its report and the model bucket.

    Returns:
        The release record as it stands in the bucket: the first push's, where the same
        export has been published before.

    Raises:
        NotValidated: No passing report for exactly these files.
        InvalidRecord: A record of another model, or damaged.
        ObjectConflict: Something else is where the version has to go.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    started = time.monotonic()
    model = check_model_name(request.model)
    bucket = check_bucket(request.bucket)
    export, report = read_export(request), read_report(request)
    demand_validated(export, report)
    with local_files(export) as scan:
        storage = open_storage(bucket)
        _logger.info("push %s: %s, %d bytes, to %s", model, export.uri, scan.size_bytes, bucket)
        claim = claim_version(storage, _claim_for(export, scan), export.checkpoint.trained_at)
        publish_objects(storage, claim, scan)
        release = _release(storage, claim, export, report, scan.size_bytes)
    if request.make_live:
        _make_live(storage, release)
    seconds = time.monotonic() - started
    _logger.info("pushed %s: %s, %d bytes in %.1f s", model, release.uri, release.size_bytes, seconds)
    return release


def _claim_for(export: ExportedModel, scan: TreeScan) -> Claim:
    return Claim(
        model=export.model,
        version=0,
        digest=export.digest,
        checkpoint_digest=export.checkpoint.digest,
        manifest=manifest_of(scan.files),
    )


def _release(
    storage: Storage, claim: Claim, export: ExportedModel, report: ValidationReport, size_bytes: int
) -> Release:
    """The release record: the one that is there, or else a new one."""
    standing = read_release(storage, claim.model, claim.version)
    if standing is not None:
        return standing
    release = Release(
        model=claim.model,
        version=claim.version,
        uri=f"{storage.uri}/{version_folder(claim.model, claim.version)}",
        digest=claim.digest,
        size_bytes=size_bytes,
        signatures=export.signatures,
        checkpoint=export.checkpoint,
        weights=export.weights,
        report=report,
        previous=read_pointer(storage, claim.model).version,
        pushed_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    name = release_name(claim.model, claim.version)
    try:
        storage.create(name, encode_record(release))
        return release
    except AlreadyThere:
        standing = read_release(storage, claim.model, claim.version)
    if standing is None:
        raise StorageUnavailable(
            f"{storage.uri}/{name}: it was there and then was gone: somebody else removes objects."
            " Find out who, and run it again."
        )
    return standing


def _make_live(storage: Storage, release: Release) -> None:
    try:
        move_pointer(storage, release.model, release.version)
    except OlderThanLive as err:
        # A backfill publishes old weights; it must not displace newer ones.
        _logger.warning("published, but not made live: %s", err)
