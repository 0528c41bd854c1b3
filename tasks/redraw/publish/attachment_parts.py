"""What people look at of a version, read from the bucket and checked against its record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from redraw.errors import ObjectConflict, StorageUnavailable
from redraw.records import Release
from redraw.records.files import ListedFile
from redraw.storage.opening import Absent, Changed, Storage, StoredObject

_PART = 4 << 20


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
