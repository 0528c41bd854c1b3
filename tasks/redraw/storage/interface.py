"""The interface of a storage: fourteen calls, so that a new storage fits in one file.

A new storage is a class with these calls, in a module next to `gcs.py` and `local.py`, and a line in
`open_storage`. Nothing else takes locks, so the storage itself must create an object only if there is none,
and replace or delete only the generation that was read (with S3: `If-None-Match: *`, and `If-Match` with an
entity tag as the generation). `copy_from` is for services that copy objects by themselves; a local folder has
none.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from redraw.errors import InvalidName, InvalidRecord
from redraw.names import check_object_name
from redraw.uri import Uri

logger = logging.getLogger(__name__)

# The default limit for an object that is read in one piece, such as a record or the live pointer.
SMALL_BYTES = 2 << 20


class AlreadyThere(Exception):  # noqa: N818 - an answer to the caller, not an error for a user
    """The object to create exists already; it was not changed."""


class Changed(Exception):  # noqa: N818 - an answer to the caller
    """The object to replace is no longer the generation that was read."""


class FileAltered(Exception):  # noqa: N818 - an answer to the caller
    """The file to upload does not have the given checksums."""


class Absent(Exception):  # noqa: N818 - an answer to the caller
    """The object to download does not exist."""


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """A storage's description of an object.

    Attributes:
        name: Relative to the storage's root, with forward slashes.
        size: In bytes.
        crc32c: Of its content, an unsigned 32-bit number; None if only reading the content would tell (in a
            listing of a local folder).
        generation: A number that changes each time the object is written.
        written_at: When this generation was written, in seconds since 1970 UTC.
        kept_by: The hold or retention policy that forbids to delete or replace it, in words; empty if there
            is none, or it was not asked for.
        billed_until: Until when it is billed even if it is deleted, in seconds since 1970 UTC; 0 if its
            storage class has no minimum duration.
    """

    name: str
    size: int
    crc32c: int | None
    generation: int
    written_at: float = field(default=0.0, compare=False)
    kept_by: str = field(default="", compare=False)
    billed_until: float = field(default=0.0, compare=False)


class Storage(Protocol):
    """Objects under one root: a folder, or a prefix of a bucket.

    Every call may raise `BucketNotFound`, `StorageForbidden`, `StorageUnavailable` (after its own retries),
    and `InvalidName` for a name that could lead elsewhere as a path. Threads may share an instance.
    """

    @property
    def uri(self) -> Uri:
        """The root, without a slash at its end."""
        ...

    def list(self, prefix: str = "") -> list[StoredObject]:
        """The objects whose names start with `prefix`, sorted by name; a missing root has none.

        Raises:
            InvalidName: One of the names could lead elsewhere as a path.
        """
        ...

    def walk(self, prefix: str = "", *, deep: bool = True) -> Iterator[StoredObject]:
        """The objects whose names start with `prefix`, one after the other, for large listings.

        A name that could lead elsewhere as a path is logged and skipped.

        Args:
            prefix: The start of the names.
            deep: Whether to descend into folders after the prefix.

        Yields:
            Each object, ordered by the characters of the names; one page or folder is in memory at a time.
        """
        ...

    def folders(self) -> tuple[str, ...]:
        """The top-level folders: the first parts of names with several parts."""
        ...

    def stat(self, name: str) -> StoredObject | None:
        """Describe one object, with its checksum; None if it does not exist."""
        ...

    def read(self, name: str, most: int = SMALL_BYTES) -> bytes | None:
        """A small object's content; None if it does not exist.

        Args:
            name: The object's name.
            most: The largest number of bytes to read into memory.

        Raises:
            InvalidRecord: It is larger.
        """
        ...

    def read_with_generation(self, name: str, most: int = SMALL_BYTES) -> tuple[bytes, int] | None:
        """A small object's content and the generation to replace; None if it does not exist.

        The content may be newer than the generation, but never older: replacing an outdated generation fails.

        Raises:
            InvalidRecord: It is larger than `most`.
        """
        ...

    def read_range(self, name: str, offset: int, size: int, generation: int | None = None) -> bytes:
        """A part of an object's content; the object may be large.

        Args:
            name: The object's name.
            offset: The first byte.
            size: The number of bytes, which are read into memory.
            generation: The generation to read, so that several parts are of one content.

        Returns:
            The bytes: fewer than `size` if the object ends earlier.

        Raises:
            Absent: There is no such object.
            Changed: The object has another generation.
        """
        ...

    def download(self, name: str, path: Path) -> StoredObject:
        """Copy an object to a file, which appears only when it is complete and verified.

        Raises:
            Absent: There is no such object.
            DiskFull: No space is left for the file.
        """
        ...

    def create(
        self, name: str, source: bytes | Path, crc32c: int | None = None, sha256: str | None = None
    ) -> StoredObject:
        """Create an object; it must not exist yet.

        Args:
            name: The object's name.
            source: Its content, or the file that holds it.
            crc32c: The content's checksum, if the caller has it, which saves reading a file twice; other
                content is refused.
            sha256: The content's digest in hex, if the caller has it: the bytes are checked against it while
                they are uploaded.

        Raises:
            AlreadyThere: An object of that name exists; it is not changed.
            FileAltered: The file does not match its size or digest; no object is created.
            DiskFull: No space is left, in a local folder.
        """
        ...

    def copy_from(self, source: Storage, stored: StoredObject, name: str) -> StoredObject:
        """Create an object as a copy that the service makes; it must not exist yet.

        No bytes come to this machine. The process's identity needs permission to read the source and to
        create the copy, in one bucket or in two.

        Args:
            source: The storage of the object to copy, of the same kind.
            stored: The object to copy, from a listing of the source.
            name: The new object's name.

        Returns:
            The new object, with the same size and crc32c.

        Raises:
            AlreadyThere: An object of that name exists; it is not changed.
            Changed: The object to copy has another generation, or was removed.
        """
        ...

    def replace(self, name: str, data: bytes, generation: int) -> StoredObject:
        """Replace the generation of an object that was read.

        Raises:
            Changed: The object has another generation, or was removed.
        """
        ...

    def delete(self, name: str, generation: int) -> None:
        """Remove the generation of an object that was read or listed; it may be removed already.

        Raises:
            Changed: The object has another generation; it is not removed.
        """
        ...

    def delete_many(self, objects: Iterable[StoredObject]) -> None:
        """Remove the listed generations of objects, in as few requests as possible.

        An object that is removed already is ignored. An object with another generation stays: list again.
        """
        ...

    def kept_when_deleted(self, prefix: str) -> Iterator[str]:
        """Describe what the storage keeps of deleted objects whose names start with `prefix`."""
        ...


def removal_command(uri: str, generation: int) -> str:
    """The command that removes one generation of an object, for a message."""
    if uri.startswith("gs://"):
        return f"gcloud storage rm {shlex.quote(f'{uri}#{generation}')}"
    return f"rm {shlex.quote(uri)}"


def skip_misnamed(objects: Iterable[StoredObject], uri: Uri) -> Iterator[StoredObject]:
    """Listed objects without those whose names could lead elsewhere as paths, which are logged."""
    for item in objects:
        try:
            check_object_name(item.name)
        except InvalidName as err:
            logger.warning("%s: skipped: %s", uri, err)
        else:
            yield item


def demand_small(uri: str, content: bytes, most: int) -> bytes:
    """Return the content that was read, if it is within the limit.

    Raises:
        InvalidRecord: It has more than `most` bytes.
    """
    if len(content) > most:
        raise InvalidRecord(
            f"{uri}: expected at most {most} bytes, got more, so Redraw did not write this object. Remove it."
        )
    return content
