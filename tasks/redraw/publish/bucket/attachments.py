"""A version's attachments: small objects next to it that its record lists by their SHA-256."""

from __future__ import annotations

import contextlib
import hashlib

from redraw.errors import ObjectConflict
from redraw.publish.bucket.layout import Claim, attachment_name
from redraw.records import Release
from redraw.records.files import ListedFile
from redraw.records.json_text import RECORD_BYTES
from redraw.storage.files import checksum_of
from redraw.storage.opening import Absent, Storage, create_or_match


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
