"""The release record, which a push writes last."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from redraw.errors import StorageUnavailable
from redraw.publish.bucket.attachments import publish_attachments
from redraw.publish.bucket.integrity import demand_whole
from redraw.publish.bucket.layout import (
    Claim,
    encode_record,
    read_release,
    read_release_with_generation,
    release_name,
    version_folder,
)
from redraw.publish.bucket.signers import SigningKey
from redraw.publish.bucket.signing import is_release_signed, sign_release, sign_version
from redraw.publish.bucket.verified import digest_report
from redraw.publish.live.set_live import read_pointer
from redraw.publish.passport.passport import publish_passport
from redraw.publish.requester import name_requester
from redraw.records import ExportedModel, Provenance, Release, ValidationReport
from redraw.records.files import SIGNATURE_FILE, ListedFile
from redraw.records.times import now
from redraw.requests import PushRequest
from redraw.settings import PASSPORT
from redraw.storage.opening import AlreadyThere, Changed, Storage

__all__ = ["Candidate", "digest_report", "write_release"]

# Tries of an update; another writer of the record has usually made the same change.
_MOST_CHANGES = 20


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An export to release.

    Attributes:
        request: The push request.
        export: The export that it names.
        report: The export's passing validation.
        attachments: Name to URI of the files to attach.
    """

    request: PushRequest
    export: ExportedModel
    report: ValidationReport
    attachments: Mapping[str, str]


def write_release(
    storage: Storage, claim: Claim, candidate: Candidate, generations: dict[str, int]
) -> Release:
    """Sign a version whose objects are complete, and write its attachments, passport and release record.

    An existing record stays, with its attachments. But with a signing key, a record without a signature is
    replaced, because others may have written it; so is a record that does not list the signature of the
    files.

    Returns:
        The record in the bucket.

    Raises:
        ObjectConflict: An attachment exists with other content, or objects are missing again.
        StorageUnavailable: Others keep changing the record.
    """
    name, signer = release_name(claim.model, claim.version), _signer(candidate.request)
    signature = {SIGNATURE_FILE: sign_version(storage, claim, signer)} if signer else {}
    stored = storage.read_with_generation(name)
    published = read_release(storage, claim.model, claim.version) if stored else None
    signed = not signer or (
        published is not None
        and is_release_signed(storage, published, signer)
        and signature.items() <= published.attachments.items()
    )
    if published is not None and signed and published.generations == generations:
        return published
    if published is None or not signed:
        attachments = publish_attachments(storage, claim, candidate.attachments)
        release = _release_of(storage, claim, candidate, generations, attachments | signature)
        if PASSPORT.read():
            passport = publish_passport(storage, claim, release)
            # Sorted, as in a record that is read from JSON.
            release = replace(release, attachments=dict(sorted({**release.attachments, **passport}.items())))
        release = sign_release(storage, release, signer) if signer else release
        with contextlib.suppress(AlreadyThere, Changed):
            if stored is None:
                storage.create(name, encode_record(release))
            else:
                storage.replace(name, encode_record(release), stored[1])
            return release
    return _bring_up_to_date(storage, claim)


def _signer(request: PushRequest) -> SigningKey | None:
    if not request.signing_key:
        return None
    return SigningKey(key=request.signing_key, certificates=request.signing_certificate)


def _bring_up_to_date(storage: Storage, claim: Claim) -> Release:
    """Update the record to the current generations of the objects.

    Generations change if objects were lost and a push wrote the same bytes again. The record is read before
    the objects are listed, and replaced only if it has not changed since: so of several pushes the last
    listing wins.
    """
    name = release_name(claim.model, claim.version)
    for _ in range(_MOST_CHANGES):
        stored = read_release_with_generation(storage, claim.model, claim.version)
        if stored is None:
            break
        standing, generation = stored
        if standing.pruned is not None:
            return standing
        generations = demand_whole(storage, claim)
        if standing.generations == generations:
            return standing
        restored = replace(standing, generations=generations)
        with contextlib.suppress(Changed):
            storage.replace(name, encode_record(restored), generation)
            return restored
    raise StorageUnavailable(
        f"{storage.uri}/{name}: the object changed while it was being read. Wait until other commands for"
        " this model end, then run the same command again."
    )


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
        uri=storage.uri / version_folder(claim.model, claim.version),
        digest=claim.digest,
        size_bytes=sum(entry.size for entry in claim.manifest),
        signatures=export.signatures,
        checkpoint=export.checkpoint,
        weights=export.weights,
        report=candidate.report,
        proofs=candidate.report.proofs,
        previous=read_pointer(storage, claim.model).version,
        pushed_at=now(),
        ledger=export.ledger,
        provenance=Provenance(
            made_by=export.made_by,
            report_digest=digest_report(candidate.report),
            asked_by=name_requester(request.by),
            dag_run=request.dag_run,
            try_number=request.try_number,
            approved_by=request.approved_by,
        ),
        generations=generations,
        attachments=attachments,
    )
