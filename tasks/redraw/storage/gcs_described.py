"""Read the service's descriptions of objects, and compare them with what was written."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from redraw.errors import StorageError, StorageUnavailable
from redraw.storage.interface import StoredObject, removal_command

# Source: https://cloud.google.com/storage/docs/storage-classes
_LEAST_DAYS = {"NEARLINE": 30, "COLDLINE": 90, "ARCHIVE": 365}

# The fields of a listing that `describe_blob` reads.
LISTED_FIELDS = (
    "items(name,size,crc32c,generation,timeCreated,storageClass,temporaryHold,eventBasedHold,"
    "retentionExpirationTime),nextPageToken"
)


class _Content(Protocol):
    """An `Upload`, or a `StoredObject` that was copied."""

    @property
    def size(self) -> int: ...

    @property
    def crc32c(self) -> int | None: ...


def describe_blob(blob: Any, start: str, where: str) -> StoredObject:
    """Describe a `google.cloud.storage.Blob` from a listing; its name is relative to `start`.

    Raises:
        StorageError: The service's description has another form; `where` is for the message.
    """
    with _expecting_a_description(where):
        return StoredObject(
            name=blob.name.removeprefix(start),
            size=int(blob.size),
            crc32c=_decoded(blob.crc32c),
            generation=int(blob.generation),
            written_at=blob.time_created.timestamp() if blob.time_created else 0.0,
            kept_by=_kept_by(blob),
            billed_until=_billed_until(blob),
        )


def describe_resource(resource: dict[str, Any], start: str, where: str) -> StoredObject:
    """Describe an object from its JSON resource, which is the response to a write.

    Raises:
        StorageError: The service's description has another form; `where` is for the message.
    """
    with _expecting_a_description(where):
        return StoredObject(
            name=str(resource["name"]).removeprefix(start),
            size=int(resource["size"]),
            crc32c=_decoded(resource["crc32c"]),
            generation=int(resource["generation"]),
        )


@contextmanager
def _expecting_a_description(where: str) -> Iterator[None]:
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as err:
        raise StorageError(
            f"{where}: expected an object's name, size, crc32c and generation, got an answer that lacks one"
            f" of them: {err!r:.100}. Set the endpoint to one of Cloud Storage."
        ) from err


def _kept_by(blob: Any) -> str:
    until = blob.retention_expiration_time
    if blob.temporary_hold or blob.event_based_hold:
        return "a hold"
    return (
        f"a retention policy until {until:%Y-%m-%dT%H:%M:%SZ}" if until and until > datetime.now(UTC) else ""
    )


def _billed_until(blob: Any) -> float:
    """When billing can end: some storage classes have a minimum duration, even for deleted objects."""
    days = _LEAST_DAYS.get(blob.storage_class, 0)
    return blob.time_created.timestamp() + days * 86_400 if days and blob.time_created else 0.0


def demand_stored(uri: str, stored: StoredObject, expected: _Content) -> StoredObject:
    """Return the object that was written, if its size and checksum are as expected.

    Raises:
        StorageUnavailable: It has another size or crc32c.
    """
    if (stored.size, stored.crc32c) != (expected.size, expected.crc32c):
        raise StorageUnavailable(
            f"{uri}: expected {expected.size} bytes with crc32c {expected.crc32c or 0:08x} to be stored,"
            f" got {stored.size} with {stored.crc32c!r}. Run the same command again after you have removed"
            f" the object: {removal_command(uri, stored.generation)}"
        )
    return stored


def _decoded(crc32c: str) -> int:
    return int.from_bytes(base64.b64decode(crc32c), "big")
