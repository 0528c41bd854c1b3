"""A version's passport: documents about it for other tools, made only of its verified records.

Every push publishes it with the version, unless `REDRAW_PASSPORT` is off.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from redraw.errors import InvalidRecord, InvalidRequest, ObjectConflict
from redraw.publish.bucket.attachments import publish_content, read_attachment
from redraw.publish.bucket.layout import Claim, split_version_uri
from redraw.publish.bucket.verified import read_verified
from redraw.publish.passport.card import encode_card
from redraw.publish.passport.deployment import encode_helm_values, encode_inference_service
from redraw.publish.passport.evaluations import evaluate_checks
from redraw.publish.passport.statements import encode_evaluation, encode_provenance
from redraw.records import Release
from redraw.records.attachments import (
    DESCRIPTION_NAME,
    LATENCY_NAME,
    Description,
    Latency,
    read_description,
    read_latency,
)
from redraw.records.files import ListedFile
from redraw.records.results import Passport
from redraw.requests import PassportRequest
from redraw.storage.files import write_atomically
from redraw.storage.opening import Storage, in_parallel, open_storage

CARD_NAME, _BOM = "card.md", "bom.cdx.json"
_PROVENANCE, _EVALUATION = "provenance.intoto.json", "evaluation.intoto.json"
# The files that are published with a version.
PASSPORT_FILES = (CARD_NAME, _PROVENANCE, _EVALUATION, _BOM)

_logger = logging.getLogger(__name__)


def write_passport(request: PassportRequest) -> Passport:
    """Write the model card, attestations, bill of materials and deployments of a version into a folder.

    Files that were published with the version are copied, the others are made. No weights are read, and the
    same version gives the same files.

    Args:
        request: The version's URI, the folder, and the public key that must confirm the signature.

    Returns:
        The files, each with its SHA-256.

    Raises:
        VersionNotFound: There is no such version.
        VerificationFailed: Its records contradict each other.
        SignatureInvalid: A key is configured and does not confirm files, record and bucket.
        ObjectConflict: An attachment of the version is not what was published.
        InvalidRequest: The folder cannot be written to.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    bucket, model, version = split_version_uri(request.uri)
    storage = open_storage(bucket)
    release, claim = read_verified(storage, model, version, request.public_key)
    contents = _copy_or_make(storage, release, claim)
    out = Path(request.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_atomically(out / name, content)
    except OSError as err:
        raise InvalidRequest(
            f"passport request: out: cannot write to this folder: {err}. Name another folder."
        ) from err
    _logger.info("wrote the passport of %s to %s", release.uri, out)
    return Passport(model=model, version=version, uri=release.uri, out=str(out), files=_digests(contents))


def publish_passport(storage: Storage, claim: Claim, release: Release) -> dict[str, ListedFile]:
    """Create the objects of a version's passport, before its release record names them.

    A file that cannot be made is logged and left out: a version without a passport is still good.

    Args:
        storage: The model bucket.
        claim: The version's.
        release: Its record to be, with the other attachments.

    Returns:
        Name to object, for the record.

    Raises:
        StorageError: The bucket is forbidden or does not answer.
    """
    try:
        contents = _describe(facts := _read_facts(storage, release, claim))
        contents[_BOM] = _list_materials(facts, contents)
    except (InvalidRecord, ObjectConflict) as err:
        _logger.warning("%s: published without a passport: %s", release.uri, err)
        return {}
    except ModuleNotFoundError as err:
        _logger.warning(
            "%s: published without %s, which needs the module %s: install airflow-provider-redraw[passport]",
            release.uri,
            _BOM,
            err.name,
        )
    files = in_parallel(lambda name: publish_content(storage, claim, name, contents[name]), contents)
    return dict(zip(contents, files, strict=True))


def list_passport(release: Release) -> tuple[str, ...]:
    """The files of a version's passport that were published with it."""
    return tuple(name for name in PASSPORT_FILES if name in release.attachments)


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What a passport is made of; the record is without the passport's files."""

    release: Release
    claim: Claim
    storage: Storage
    description: Description
    latencies: Mapping[str, tuple[Latency, ...]]


def _read_facts(storage: Storage, release: Release, claim: Claim) -> _Facts:
    latency, description = (
        read_attachment(storage, release, name) for name in (LATENCY_NAME, DESCRIPTION_NAME)
    )
    attachments = {name: file for name, file in release.attachments.items() if name not in PASSPORT_FILES}
    try:
        return _Facts(
            release=replace(release, attachments=attachments),
            claim=claim,
            storage=storage,
            description=Description() if description is None else read_description(description),
            latencies={} if latency is None else read_latency(latency),
        )
    except InvalidRecord as err:
        raise type(err)(f"{release.uri}: {LATENCY_NAME} or {DESCRIPTION_NAME}: {err}") from err


def _copy_or_make(storage: Storage, release: Release, claim: Claim) -> dict[str, bytes]:
    published = {name: read_attachment(storage, release, name) or b"" for name in list_passport(release)}
    contents = published
    if len(published) < len(PASSPORT_FILES):
        facts = _read_facts(storage, release, claim)
        contents = _describe(facts) | published
        contents.setdefault(_BOM, _list_materials(facts, contents))
    return contents | {
        "inference-service.yaml": encode_inference_service(release).encode(),
        "helm-values.yaml": encode_helm_values(release).encode(),
    }


def _describe(facts: _Facts) -> dict[str, bytes]:
    release, claim = facts.release, facts.claim
    evaluations = evaluate_checks(release.report, facts.latencies)
    return {
        CARD_NAME: encode_card(release, claim, facts.description, facts.latencies).encode(),
        _PROVENANCE: encode_provenance(release, claim, facts.storage.uri).encode(),
        _EVALUATION: encode_evaluation(release, claim, evaluations).encode(),
    }


def _list_materials(facts: _Facts, contents: Mapping[str, bytes]) -> bytes:
    # Imported here because its library belongs to an extra.
    from redraw.publish.passport.bom import encode_bom

    described = _digests({name: content for name, content in contents.items() if name != _BOM})
    return encode_bom(facts.release, facts.claim, facts.storage.uri, facts.description, described).encode()


def _digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
