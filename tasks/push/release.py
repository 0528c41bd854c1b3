"""The release record: written last, by whoever comes first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tasks.asking import now, who_asks
from tasks.errors import StorageUnavailable
from tasks.listed_file import ListedFile
from tasks.live import read_pointer
from tasks.published import Claim, encode_record, read_release, release_name, version_folder
from tasks.push.attachments import publish_attachments
from tasks.records import ExportedModel, Provenance, Release, ValidationReport
from tasks.requests import PushRequest
from tasks.storage import AlreadyThere, Changed, Storage

__all__ = ["Candidate", "digest_report", "write_release"]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What is to be released.

    Attributes:
        request: What was asked for.
        export: The export that it names.
        report: The validation that lets it pass.
        attachments: Name to URI of what people look at.
    """

    request: PushRequest
    export: ExportedModel
    report: ValidationReport
    attachments: Mapping[str, str]


def write_release(
    storage: Storage, claim: Claim, candidate: Candidate, generations: dict[str, int]
) -> Release:
    """Write the attachments and the release record of a version whose objects are all there.

    A record that is there stays, and so does what it names to be looked at.

    Args:
        storage: The model bucket.
        claim: The version's.
        candidate: What was published.
        generations: Of its objects.

    Returns:
        The record as it stands in the bucket.

    Raises:
        ObjectConflict: Another content stands where an attachment has to go.
        StorageUnavailable: Others keep changing it.
    """
    name = release_name(claim.model, claim.version)
    published = read_release(storage, claim.model, claim.version)
    if published is not None and published.generations == generations:
        return published
    attachments = {} if published else publish_attachments(storage, claim, candidate.attachments)
    release = _release_of(storage, claim, candidate, generations, attachments)
    try:
        storage.create(name, encode_record(release))
        return release
    except AlreadyThere:
        found = storage.read_with_generation(name)
    if found is not None:
        standing = Release.from_text(found[0], f"{storage.uri}/{name}")
        if standing.generations == generations or standing.pruned is not None:
            return standing
        # Objects were lost, and this push put them back: the same bytes, written anew.
        restored = replace(standing, generations=generations)
        try:
            storage.replace(name, encode_record(restored), found[1])
            return restored
        except Changed:
            pass
    raise StorageUnavailable(
        f"{storage.uri}/{name}: expected it to stay while it was read, got a change by somebody else."
        " Find out who, and run it again."
    )


def digest_report(report: ValidationReport) -> str:
    """SHA-256 of a report, in hex: over its JSON with sorted keys and no spaces."""
    text = json.dumps(report.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _release_of(
    storage: Storage,
    claim: Claim,
    candidate: Candidate,
    generations: dict[str, int],
    attachments: Mapping[str, ListedFile],
) -> Release:
    export, request = candidate.export, candidate.request
    return Release(
        model=claim.model,
        version=claim.version,
        uri=f"{storage.uri}/{version_folder(claim.model, claim.version)}",
        digest=claim.digest,
        size_bytes=sum(entry.size for entry in claim.manifest),
        signatures=export.signatures,
        checkpoint=export.checkpoint,
        weights=export.weights,
        report=candidate.report,
        previous=read_pointer(storage, claim.model).version,
        pushed_at=now(),
        ledger=export.ledger,
        provenance=Provenance(
            made_by=export.made_by,
            report_digest=digest_report(candidate.report),
            asked_by=who_asks(request.by),
            dag_run=request.dag_run,
            try_number=request.try_number,
            approved_by=request.approved_by,
        ),
        generations=generations,
        attachments=attachments,
    )
