"""Write what other tools read about a published version, made of its verified records alone."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

from redraw.errors import InvalidRecord, InvalidRequest, ObjectConflict
from redraw.publish.bucket.layout import Claim, attachment_name, split_version_uri
from redraw.publish.bucket.verified import read_verified
from redraw.publish.passport.bom import encode_bom
from redraw.publish.passport.card import encode_card
from redraw.publish.passport.deployment import encode_helm_values, encode_inference_service
from redraw.publish.passport.evaluations import evaluate_checks
from redraw.publish.passport.statements import encode_evaluation, encode_provenance
from redraw.records import Release
from redraw.records.attachments import Latency, read_latency
from redraw.records.json_text import RECORD_BYTES
from redraw.records.results import Passport
from redraw.requests import PassportRequest
from redraw.storage.files import write_atomically
from redraw.storage.opening import Storage, open_storage

__all__ = ["write_passport"]

_LATENCY = "latency.json"

_logger = logging.getLogger(__name__)


def write_passport(request: PassportRequest) -> Passport:
    """Write the model card, attestations, bill of materials and deployments of a version into a folder.

    No weights are read, and the same version gives the same files.

    Args:
        request: The version's URI, the folder, and the public key that must confirm the signature.

    Returns:
        The files, each with its SHA-256.

    Raises:
        VersionNotFound: There is no such version.
        VerificationFailed: Its records contradict each other.
        SignatureInvalid: A key is configured, and did not sign files, record and bucket.
        ObjectConflict: The latencies next to the version are not what was published.
        InvalidRequest: The folder cannot be written to.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    bucket, model, version = split_version_uri(request.uri)
    storage = open_storage(bucket)
    release, claim = read_verified(storage, model, version, request.public_key)
    contents = _make_files(storage, release, claim, _read_latencies(storage, release))
    out = Path(request.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_atomically(out / name, content)
    except OSError as err:
        raise InvalidRequest(
            f"passport request: out: expected a folder to write to, got {err}. Name another one."
        ) from err
    _logger.info("wrote the passport of %s to %s", release.uri, out)
    return Passport(model=model, version=version, uri=release.uri, out=str(out), files=_digests(contents))


def _make_files(
    storage: Storage, release: Release, claim: Claim, latencies: Mapping[str, tuple[Latency, ...]]
) -> Mapping[str, bytes]:
    evaluations = evaluate_checks(release.report, latencies)
    described = {
        "card.md": encode_card(release, claim, latencies).encode(),
        "provenance.intoto.json": encode_provenance(release, claim, storage.uri).encode(),
        "evaluation.intoto.json": encode_evaluation(release, claim, evaluations).encode(),
    }
    return {
        **described,
        "bom.cdx.json": encode_bom(release, claim, storage.uri, _digests(described)).encode(),
        "inference-service.yaml": encode_inference_service(release).encode(),
        "helm-values.yaml": encode_helm_values(release).encode(),
    }


def _digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _read_latencies(storage: Storage, release: Release) -> Mapping[str, tuple[Latency, ...]]:
    """What was measured when the version was validated; nothing if it was published without."""
    listed = release.attachments.get(_LATENCY)
    if listed is None:
        return {}
    where = f"{storage.uri}/{listed.name}"
    expected = attachment_name(release.model, release.version, _LATENCY, listed.sha256)
    content = storage.read(expected) if listed.size <= RECORD_BYTES else None
    if listed.name != expected or hashlib.sha256(content or b"").hexdigest() != listed.sha256:
        raise ObjectConflict(
            f"{where}: expected the object {expected} of at most {RECORD_BYTES} bytes with that SHA-256, as"
            " published, got something else. Find out who wrote it; do not trust it."
        )
    try:
        return read_latency(content or b"")
    except InvalidRecord as err:
        raise type(err)(f"{where}: {err}") from err
