"""A version's attachments: small objects next to it, which its record lists by their SHA-256.

The files of a report are in scratch and are removed with it; the bucket keeps them as long as the version.
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
    """Create the object of an attachment, unless it is there with the same content.

    Raises:
        ObjectConflict: An object with its name has other content.
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
    """A small attachment of a version, checked against the version's record; None if the record has none.

    Raises:
        ObjectConflict: The object is missing, too large, or not what was published.
    """
    entry = release.attachments.get(name)
    if entry is None:
        return None
    expected = attachment_name(release.model, release.version, name, entry.sha256)
    content = b""
    with contextlib.suppress(Absent):  # a missing object has no SHA-256, and is refused below
        # One byte more than the record allows is enough to tell a larger object.
        content = storage.read_range(expected, 0, min(entry.size, RECORD_BYTES) + 1)
    if entry.name != expected or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise ObjectConflict(
            f"{storage.uri}/{entry.name}: expected the object {expected} with the published SHA-256, of at"
            f" most {RECORD_BYTES} bytes, got another object or size. Do not trust this file. Look up its"
            " writer in the bucket's audit log."
        )
    return content


def read_parts(storage: Storage, release: Release, name: str, most: int) -> Iterator[bytes] | None:
    """An attachment in parts: all of it is checked before the first part, with one part in memory.

    Args:
        storage: The model bucket.
        release: The version's record.
        name: One of the record's `attachments`, such as `report.html`.
        most: How many bytes it may have.

    Returns:
        Its content; None if the version has none of that name, or was pruned.

    Raises:
        ObjectConflict: It is larger than `most`, or not what was published.
    """
    entry = release.attachments.get(name)
    if entry is None:
        return None
    if entry.size > most:
        raise ObjectConflict(
            f"{storage.uri}/{entry.name}: expected a file of at most {most} bytes to show, got {entry.size}"
            f" bytes. Download it: gcloud storage cp {storage.uri}/{entry.name} ."
        )
    if entry.size < _PART:  # one request: the digest tells whether it is the published object
        try:
            content = storage.read_range(entry.name, 0, entry.size + 1)
        except Absent:
            return None
        _demand(storage, entry, hashlib.sha256(content).hexdigest())
        return iter([content])
    item = storage.stat(entry.name)
    if item is None:
        return None
    digest = hashlib.sha256()
    # One byte more than the record allows is enough to tell a larger object.
    for part in _parts(storage, item, entry.size + 1):
        digest.update(part)
    _demand(storage, entry, digest.hexdigest())
    return _parts(storage, item, entry.size)


def _demand(storage: Storage, entry: ListedFile, sha256: str) -> None:
    if sha256 != entry.sha256:
        raise ObjectConflict(
            f"{storage.uri}/{entry.name}: expected {entry.size} bytes with SHA-256 {entry.sha256}, as"
            f" published, got {sha256}. Do not trust this file. Look up its writer in the bucket's audit"
            " log."
        )


def _parts(storage: Storage, item: StoredObject, size: int) -> Iterator[bytes]:
    """The first bytes of an object, in the generation of its description."""
    for offset in range(0, size, _PART):
        length = min(_PART, size - offset)
        try:
            part = storage.read_range(item.name, offset, length, item.generation)
        except (Absent, Changed) as err:
            raise StorageUnavailable(
                f"{storage.uri}/{item.name}: the object changed while it was being read. Wait until nothing"
                " writes to it, then try again."
            ) from err
        yield part
        if len(part) < length:
            return


def name_attachments(export: ExportedModel, report: ValidationReport) -> Mapping[str, str]:
    """The files to attach to a version, name to URI.

    Raises:
        InvalidName: The report lists a name that is no file name.
    """
    attachments = {**report.attachments, "ledger.json": export.ledger_uri}
    return {check_attachment_name(name): uri for name, uri in attachments.items()}


def publish_attachments(
    storage: Storage, claim: Claim, attachments: Mapping[str, str]
) -> dict[str, ListedFile]:
    """Create the objects of the attachments, unless they are there already.

    A file that is missing or too large to show is logged and left out: a version without a picture is
    still good.

    Args:
        storage: The model bucket.
        claim: The version's.
        attachments: Name to URI.

    Returns:
        Name to object, without the files that were left out.

    Raises:
        ObjectConflict: An object with one of the names has other content.
        StorageError: The bucket, or the bucket of an attachment, is forbidden or does not answer.
    """
    names = sorted(attachments)
    files = in_parallel(lambda name: _publish(storage, claim, name, attachments[name]), names)
    return {name: file for name, file in zip(names, files, strict=True) if file is not None}


def _publish(storage: Storage, claim: Claim, name: str, uri: str) -> ListedFile | None:
    content = read_uri(uri, ATTACHMENT_BYTES + 1)
    if content is None or len(content) > ATTACHMENT_BYTES:
        got = "no such file" if content is None else f"more than {ATTACHMENT_BYTES} bytes"
        _logger.warning("%s: expected a file to keep with the version, got %s: left out", uri, got)
        return None
    return publish_content(storage, claim, name, content)
