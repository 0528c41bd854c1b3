"""A version's attachments: small objects next to it to look at, which its record lists by their SHA-256.

The files of the report lie in scratch and go with it; a bucket keeps them as long as the version.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator, Mapping

from redraw.errors import ObjectConflict, StorageUnavailable
from redraw.names import check_attachment_name
from redraw.publish.bucket.layout import ATTACHMENT_BYTES, Claim, attachment_name
from redraw.records import ExportedModel, Release, ValidationReport
from redraw.records.files import ListedFile
from redraw.records.json_text import RECORD_BYTES
from redraw.storage.files import checksum_of
from redraw.storage.opening import (
    Absent,
    Changed,
    Storage,
    StoredObject,
    create_or_match,
    in_parallel,
    read_uri,
)

_PART = 4 << 20
_logger = logging.getLogger(__name__)


def publish_content(storage: Storage, claim: Claim, name: str, content: bytes) -> ListedFile:
    """Create the object of an attachment; the same content there already is as good.

    Raises:
        ObjectConflict: Another content stands under its name.
        StorageError: The bucket is forbidden or does not answer.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    file = ListedFile(
        name=attachment_name(claim.model, claim.version, name, sha256),
        size=len(content),
        crc32c=checksum_of(content),
        sha256=sha256,
    )
    create_or_match(storage, file.name, file, content)
    return file


def read_attachment(storage: Storage, release: Release, name: str) -> bytes | None:
    """A small attachment of a version, checked against its record; None if it was published without.

    Raises:
        ObjectConflict: It is gone, too large, or not what was published.
    """
    listed = release.attachments.get(name)
    if listed is None:
        return None
    expected = attachment_name(release.model, release.version, name, listed.sha256)
    content = b""
    with contextlib.suppress(Absent):  # nothing has another SHA-256 than what was published
        # A larger one is not read beyond what the record allows.
        content = storage.read_range(expected, 0, min(listed.size, RECORD_BYTES) + 1)
    if listed.name != expected or hashlib.sha256(content).hexdigest() != listed.sha256:
        raise ObjectConflict(
            f"{storage.uri}/{listed.name}: expected the object {expected} of at most {RECORD_BYTES} bytes"
            " with that SHA-256, as published, got something else. Find out who wrote it; do not trust it."
        )
    return content


def read_parts(storage: Storage, release: Release, name: str, most: int) -> Iterator[bytes] | None:
    """An attachment, a part at a time: all of it is checked before the first part, and only a part is held.

    Args:
        storage: The model bucket.
        release: The version's record.
        name: One of the record's `attachments`, as `report.html`.
        most: How many bytes it may have.

    Returns:
        Its content; None where the version has none of that name, or was pruned.

    Raises:
        ObjectConflict: It is larger than what can be shown, or not what was published.
    """
    listed = release.attachments.get(name)
    if listed is None:
        return None
    if listed.size > most:
        raise ObjectConflict(
            f"{storage.uri}/{listed.name}: expected at most {most} bytes to show,"
            f" got {listed.size}. Copy it from the bucket to look at it."
        )
    if listed.size < _PART:  # in one request: its digest says whether it is the one that was published
        try:
            content = storage.read_range(listed.name, 0, listed.size + 1)
        except Absent:
            return None
        _demand(storage, listed, hashlib.sha256(content).hexdigest())
        return iter([content])
    stored = storage.stat(listed.name)
    if stored is None:
        return None
    digest = hashlib.sha256()
    # A larger one is not read beyond what the record allows.
    for part in _parts(storage, stored, listed.size + 1):
        digest.update(part)
    _demand(storage, listed, digest.hexdigest())
    return _parts(storage, stored, listed.size)


def _demand(storage: Storage, listed: ListedFile, found: str) -> None:
    if found != listed.sha256:
        raise ObjectConflict(
            f"{storage.uri}/{listed.name}: expected {listed.size} bytes with SHA-256"
            f" {listed.sha256}, as published, got {found}. Find out who wrote it; do not trust it."
        )


def _parts(storage: Storage, stored: StoredObject, size: int) -> Iterator[bytes]:
    """The first bytes of the very object that was described."""
    for offset in range(0, size, _PART):
        wanted = min(_PART, size - offset)
        try:
            part = storage.read_range(stored.name, offset, wanted, stored.generation)
        except (Absent, Changed) as err:
            raise StorageUnavailable(
                f"{storage.uri}/{stored.name}: expected it unchanged while it was read, got a change."
                " Find out who writes there, and try again."
            ) from err
        yield part
        if len(part) < wanted:
            return


def name_attachments(export: ExportedModel, report: ValidationReport) -> Mapping[str, str]:
    """What there is to look at, name to URI.

    Raises:
        InvalidName: The report names something that is no file name.
    """
    named = {**report.attachments, "ledger.json": export.ledger_uri}
    return {check_attachment_name(name): uri for name, uri in named.items()}


def publish_attachments(
    storage: Storage, claim: Claim, attachments: Mapping[str, str]
) -> dict[str, ListedFile]:
    """Create the objects of the attachments; those that are there already are as good.

    One that is gone, or too large to be shown, is left out and logged: the version is no
    worse without its picture.

    Args:
        storage: The model bucket.
        claim: The version's.
        attachments: Name to URI.

    Returns:
        Name to its object, of those that were there to be read.

    Raises:
        ObjectConflict: Another content stands under one of the names.
        StorageError: The bucket, or one that an attachment lies in, is forbidden or does not answer.
    """
    names = sorted(attachments)
    sent = in_parallel(lambda name: _publish(storage, claim, name, attachments[name]), names)
    return {name: file for name, file in zip(names, sent, strict=True) if file is not None}


def _publish(storage: Storage, claim: Claim, name: str, uri: str) -> ListedFile | None:
    content = read_uri(uri, ATTACHMENT_BYTES + 1)
    if content is None or len(content) > ATTACHMENT_BYTES:
        got = "no such file" if content is None else f"more than {ATTACHMENT_BYTES} bytes"
        _logger.warning("%s: expected a file to keep with the version, got %s: left out", uri, got)
        return None
    return publish_content(storage, claim, name, content)
