"""The only way to read a published version: verify its records and signatures, then its bytes.

All code that loads, copies or compares a published version uses these functions:

    read_verified    claim, record and report agree, and are signed if a public key is configured
    demand_verified  also, the objects are those of the manifest, in the generations of the record
    fetch_verified   also, the downloaded bytes have the digest
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from redraw.errors import ObjectConflict, StorageUnavailable, VerificationFailed
from redraw.names import ModelName
from redraw.publish.bucket.integrity import demand_content, demand_published, read_published
from redraw.publish.bucket.layout import Claim, claim_name, read_claim, release_name, version_folder
from redraw.publish.bucket.signing import demand_release_signed, demand_signed
from redraw.records import Release, ValidationReport
from redraw.records.schema import SCHEMA
from redraw.settings import VERIFY_KEY
from redraw.storage.files import digest_of, scan_tree
from redraw.storage.opening import Storage, download_tree
from redraw.storage.scratch import demand_room


def configured_key(public_key: str | None = None) -> str | None:
    """The file of the public key that must confirm versions: `public_key`, or else REDRAW_VERIFY_KEY."""
    return public_key or VERIFY_KEY.read()


def read_verified(
    storage: Storage, model: ModelName, version: int, public_key: str | None = None
) -> tuple[Release, Claim]:
    """The records of a version, which are checked to agree, and to be signed if a key is configured.

    Args:
        storage: The model bucket.
        model: The definition's name.
        version: The version.
        public_key: File of the key that must confirm the signatures; by default the configured one.

    Raises:
        VersionNotFound: It was never published, its push did not finish, or it has been pruned.
        VerificationFailed: Its records contradict each other.
        SignatureInvalid: A key is configured and does not confirm files, record and bucket.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    release, claim = read_published(storage, model, version)
    _demand_agreeing(storage, release, claim)
    if key := configured_key(public_key):
        demand_key(storage, release, claim, key)
    return release, claim


def demand_record(storage: Storage, release: Release) -> None:
    """Demand that a version's record agrees with its claim and is signed if a key is configured.

    The objects are not checked: the version may be pruned or incomplete.

    Args:
        storage: The model bucket.
        release: The record, just read.

    Raises:
        VerificationFailed: The record and the claim contradict each other, or there is no claim.
        SignatureInvalid: A key is configured and does not confirm the record.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    claim = read_claim(storage, release.model, release.version)
    if claim is None:
        raise VerificationFailed(
            f"{storage.uri}/{claim_name(release.model, release.version)}: expected the claim of a published"
            " version, found none: it was removed. Do not serve this version: make another version live."
        )
    _demand_agreeing(storage, release, claim)
    if key := configured_key():
        _demand_record_signed(storage, release, key)


def _demand_agreeing(storage: Storage, release: Release, claim: Claim) -> None:
    where = f"{storage.uri}/{release_name(claim.model, claim.version)}"
    try:
        demand_consistent(storage, release, claim)
        demand_report(release)
    except VerificationFailed as err:
        raise VerificationFailed(
            f"{where}: {err} Do not serve this version: make another version live."
        ) from err


def demand_verified(
    storage: Storage, model: ModelName, version: int, public_key: str | None = None, *, content: bool = False
) -> Release:
    """The record of a version whose records are verified and whose objects are the published ones.

    Args:
        storage: The model bucket.
        model: The definition's name.
        version: The version.
        public_key: File of the key that must confirm the signatures; by default the configured one.
        content: Whether to read every byte if a key is configured; for callers that do not download them.

    Raises:
        RedrawError: A record is missing, inconsistent or not signed, or the storage failed.
        ObjectConflict: An object is missing, differs from the manifest, or was written again.
    """
    release, claim = read_verified(storage, model, version, public_key)
    demand_published(storage, model, version)
    if content and configured_key(public_key):
        demand_content(storage, claim)
    return release


def fetch_verified(
    storage: Storage, model: ModelName, version: int, folder: Path, public_key: str | None = None
) -> Release:
    """Download a version's files, and verify records, objects and bytes.

    Args:
        storage: The model bucket.
        model: The definition's name.
        version: The version.
        folder: Where they go; it has no other files.
        public_key: File of the key that must confirm the signatures; by default the configured one.

    Raises:
        RedrawError: A record is missing, inconsistent or not signed, or the storage failed.
        ObjectConflict: A file is not what was published.
        DiskFull: There is no room for the files.
    """
    release = demand_verified(storage, model, version, public_key)
    folder.mkdir(parents=True, exist_ok=True)
    demand_room(folder, release.size_bytes)
    download_tree(storage, version_folder(model, version), folder)
    if (digest := scan_tree(folder).digest) != release.digest:
        raise ObjectConflict(
            f"{release.uri}: expected files of digest {release.digest}, as published, got {digest}. Do not"
            " serve these files: make another version live."
        )
    return release


def demand_key(storage: Storage, release: Release, claim: Claim, public_key: str) -> None:
    """Demand that the files, the record and the bucket's name are signed.

    Raises:
        SignatureInvalid: The key does not confirm one of them.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    demand_signed(storage, claim, public_key)
    _demand_record_signed(storage, release, public_key)


def _demand_record_signed(storage: Storage, release: Release, public_key: str) -> None:
    name = release_name(release.model, release.version)
    content = storage.read(name) or b""
    where = f"{storage.uri}/{name}"
    if not content or Release.from_text(content, where) != release:
        raise StorageUnavailable(
            f"{where}: the record changed while it was being read. Run the same command again."
        )
    demand_release_signed(storage, release, content, public_key)


def demand_consistent(storage: Storage, release: Release, claim: Claim) -> str:
    """Demand that the record and the claim are of one version and of this bucket; returns how much agreed."""
    pairs = {
        "model": (release.model, claim.model),
        "version": (release.version, claim.version),
        "uri": (release.uri, f"{storage.uri}/{claim.model}/{claim.version}"),
        "digest": (release.digest, claim.digest),
        "digest of the manifest": (digest_of(claim.manifest), claim.digest),
        "checkpoint's digest": (release.checkpoint.digest, claim.checkpoint_digest),
        "proofs": (release.proofs or release.report.proofs, release.report.proofs),
        "checkpoint's model": (release.checkpoint.model, claim.model),
        "report's model": (release.report.model, claim.model),
        "size": (release.size_bytes, sum(entry.size for entry in claim.manifest)),
    }
    for name, (actual, expected) in pairs.items():
        if actual != expected:
            raise VerificationFailed(f"{name}: expected {expected}, got {actual}.")
    return f"{len(pairs)} facts that agree"


def demand_report(release: Release) -> str:
    """Demand a passing report of the release, with the digest that the release names; returns its summary."""
    report, expected = release.report, release.provenance.report_digest
    if digest_report(report) != expected:
        raise VerificationFailed(f"expected a report with SHA-256 {expected}, got {digest_report(report)}.")
    if not report.passed or report.digest != release.digest:
        verdict = "passed" if report.passed else "failed"
        raise VerificationFailed(
            f"expected a passing report of digest {release.digest}, got a {verdict} report of digest"
            f" {report.digest}."
        )
    return f"{len(report.checks)} checks at {report.validated_at}"


def digest_report(report: ValidationReport) -> str:
    """SHA-256 of a report, in hex: over its JSON with sorted keys and no spaces.

    The schema number is left out, and so is `objects` if it has none: the digests of older releases, which
    wrote neither, stay the same.
    """
    record = report.to_json()
    del record[SCHEMA]
    if report.objects is None:
        del record["objects"]
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
