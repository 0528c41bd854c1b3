"""Check a published version: its records, objects, attachments and signatures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from redraw.errors import RedrawError, StorageUnavailable, VerificationFailed
from redraw.publish.bucket.integrity import (
    demand_attachments,
    demand_content,
    demand_published,
    read_published,
)
from redraw.publish.bucket.layout import Claim, release_name, split_version_uri
from redraw.publish.bucket.signing import demand_release_signed, demand_signed
from redraw.publish.bucket.verified import configured_key, demand_consistent, demand_report
from redraw.publish.passport.passport import list_passport
from redraw.records import Check, Release
from redraw.records.results import VerifyReport
from redraw.requests import VerifyRequest
from redraw.settings import VERIFY_KEY
from redraw.storage.opening import Storage, open_storage


def verify_version(request: VerifyRequest) -> VerifyReport:
    """Check a published version completely; every byte is read.

    Args:
        request: The version's URI, and the public key that must confirm its signature.

    Returns:
        Every check by name, with its evidence. The signature check is not run without a key.

    Raises:
        VerificationFailed: A check failed; the message names each failed check.
        VersionNotFound: There is no such version.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    bucket, model, version = split_version_uri(request.uri)
    storage = open_storage(bucket)
    release, claim = read_published(storage, model, version)
    checks = tuple(_checks(storage, release, claim, request.public_key))
    failed = [check for check in checks if check.status == "failed"]
    if failed:
        problems = "; ".join(f"{check.name}: {check.found}" for check in failed)
        raise VerificationFailed(f"{release.uri}: {len(failed)} of {len(checks)} checks failed. {problems}")
    return VerifyReport(model=model, version=version, uri=release.uri, checks=checks, passed=True)


def _checks(storage: Storage, release: Release, claim: Claim, public_key: str | None) -> Iterator[Check]:
    yield _check("records", release.uri, lambda: demand_consistent(storage, release, claim))
    yield _check("report", "the release record", lambda: demand_report(release))
    yield _check("objects", release.uri, lambda: _demand_objects(storage, release))
    yield _check(
        "content", release.uri, lambda: f"{demand_content(storage, claim)} bytes as they were exported"
    )
    passport = list_passport(release)
    names = [name for name in release.attachments if name not in passport]
    attachments = ", ".join(names) or "none"
    yield _check("attachments", attachments, lambda: _demand_attachments(storage, release, names))
    if passport:
        yield _check("passport", ", ".join(passport), lambda: _demand_attachments(storage, release, passport))
    else:
        yield _not_run("passport", "the release record", "the version was published without it", _NO_PASSPORT)
    key = configured_key(public_key)
    if key:
        yield _check(
            "signature", f"signature and {key}", lambda: _demand_signature(storage, release, claim, key)
        )
    else:
        advice = f"Set --public-key or {VERIFY_KEY.variable}."
        yield _not_run("signature", "the signature", "no public key was given", advice)


_NO_PASSPORT = "To write a passport into a folder, run 'redraw passport'."
_EXPECTED = {
    "records": "the same model, version, digest, size and checkpoint in release record and claim",
    "report": "a passing report of the release's digest, with the digest that the release names",
    "objects": "the manifest's names, sizes and crc32c, in the generations that the release names",
    "content": "SHA-256 of every object as in the manifest",
    "attachments": "SHA-256 of what the report shows, ledger and signature, as the release record lists them",
    "passport": "SHA-256 of model card, attestations and bill of materials, as the release record lists them",
    "signature": "signatures of the manifest and of the record in this bucket that the public key confirms",
}


def _not_run(name: str, looked_at: str, found: str, advice: str) -> Check:
    return Check(
        name=name,
        status="not_run",
        looked_at=looked_at,
        expected=_EXPECTED[name],
        found=found,
        advice=advice,
    )


def _check(name: str, looked_at: str, demand: Callable[[], str]) -> Check:
    """Run one check; an unavailable storage is no result of a check, so it ends the command."""
    try:
        found, passed = demand(), True
    except StorageUnavailable:
        raise
    except RedrawError as err:
        found, passed = str(err), False
    return Check(
        name=name,
        status="passed" if passed else "failed",
        looked_at=looked_at,
        expected=_EXPECTED[name],
        found=found,
        advice="" if passed else "Do not serve this version: make another version live.",
    )


def _demand_objects(storage: Storage, release: Release) -> str:
    demand_published(storage, release.model, release.version)
    return f"{len(release.generations)} objects"


def _demand_attachments(storage: Storage, release: Release, names: Sequence[str]) -> str:
    size = demand_attachments(storage, release, names)
    return f"{len(names)} files of {size} bytes together"


def _demand_signature(storage: Storage, release: Release, claim: Claim, key: str) -> str:
    demand_signed(storage, claim, key)
    content = storage.read(release_name(claim.model, claim.version)) or b""
    demand_release_signed(storage, release, content, key)
    return "confirmed: the files, the record with its report and attachments, and the bucket"
