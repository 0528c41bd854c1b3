"""The bytes of a version and of its attachments, read back and held against its records."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from redraw.errors import ObjectConflict, StorageUnavailable
from redraw.publish.bucket.layout import Claim, attachment_name, version_folder
from redraw.records import Release
from redraw.records.files import ListedFile
from redraw.storage.opening import Absent, Changed, Storage, in_parallel, streams_for

__all__ = ["demand_attachments", "demand_content"]

# A few of these are in memory at once, and a model that lies in shards is a few hundred requests.
_BLOCK = 8 << 20


def demand_content(storage: Storage, claim: Claim) -> int:
    """Read every object of a version and demand that its SHA-256 is the manifest's.

    A checksum of 32 bits tells damage, not intent: whoever may write to the bucket can make
    other bytes of the same crc32c.

    Args:
        storage: The model bucket.
        claim: The version's.

    Returns:
        The number of bytes read.

    Raises:
        ObjectConflict: An object has other bytes.
        StorageUnavailable: An object changed while it was read.
    """
    folder = version_folder(claim.model, claim.version)
    return _read_all(storage, {f"{folder}/{entry.name}": entry for entry in claim.manifest})


def demand_attachments(storage: Storage, release: Release) -> int:
    """Read every attachment of a version and demand that its name and SHA-256 are the record's.

    Args:
        storage: The model bucket.
        release: The version's record.

    Returns:
        The number of bytes read.

    Raises:
        ObjectConflict: An attachment is gone, has other bytes, or is not of this version.
        StorageUnavailable: One changed while it was read.
    """
    for name, entry in release.attachments.items():
        expected = attachment_name(release.model, release.version, name, entry.sha256)
        if entry.name != expected:
            raise ObjectConflict(
                f"{release.uri}: attachment {name!r}: expected the object {expected}, got {entry.name}."
                " The record was altered: find out who wrote it."
            )
    return _read_all(storage, {entry.name: entry for entry in release.attachments.values()})


def _read_all(storage: Storage, objects: Mapping[str, ListedFile]) -> int:
    """Hold each object, by its name, to what is listed of it."""
    streams = streams_for(entry.size for entry in objects.values())
    return sum(in_parallel(lambda name: _read(storage, name, objects[name]), objects, streams))


def _read(storage: Storage, name: str, entry: ListedFile) -> int:
    found = storage.stat(name)
    digest, size = hashlib.sha256(), 0
    try:
        while (
            found
            and size < found.size
            and (block := storage.read_range(name, size, _BLOCK, found.generation))
        ):
            digest.update(block)
            size += len(block)
    except (Absent, Changed) as err:
        raise StorageUnavailable(
            f"{storage.uri}/{name}: expected it to stay while it was read, got a change. Find out who"
            " writes there, and run it again."
        ) from err
    if found is None or (size, digest.hexdigest()) != (entry.size, entry.sha256):
        raise ObjectConflict(
            f"{storage.uri}/{name}: expected {entry.size} bytes with SHA-256 {entry.sha256}, got {size} with"
            f" {digest.hexdigest()}. Find out who wrote it; do not serve it."
        )
    return size
