"""What a place for objects has to offer: fourteen calls, so that another one fits in one file.

Another place is a class with these calls, in a module next to `gcs.py` and `local.py`, and a
line in `open_storage`. What it has to decide by itself, for nothing else here locks anything:
to create an object only where none is, and to replace or delete only the very one that was
read (of S3: `If-None-Match: *`, and `If-Match` with an entity tag as the generation). `copy_from` is for
places that copy by themselves: a folder does not, and nothing is copied but from bucket to bucket.
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

# The largest object that is read in one piece, if nothing else is said: a record, the live pointer.
SMALL_BYTES = 2 << 20


class AlreadyThere(Exception):  # noqa: N818 - an answer to the caller, not an error for a user
    """An object that was to be created has been there before; it was not touched."""


class Changed(Exception):  # noqa: N818 - as above
    """An object that was to be replaced is no longer the one that was read."""


class FileAltered(Exception):  # noqa: N818 - as above
    """A file that was to be sent is not the one whose checksums were given."""


class Absent(Exception):  # noqa: N818 - as above
    """An object that was to be downloaded is not there."""


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An object as its storage describes it.

    Attributes:
        name: Relative to the storage's root, with forward slashes.
        size: In bytes.
        crc32c: Of its content, an unsigned 32-bit number; None where it is not known
            without reading it (a listing of a local folder).
        generation: A number that is another one each time the object is written.
        written_at: When this generation was written, in seconds since 1970 UTC.
        kept_by: What forbids to delete or replace it, in words: a hold, or a retention policy; empty if
            nothing does, or it was not asked.
        billed_until: Until when it is paid for even if it is deleted, in seconds since 1970 UTC; 0 if its
            storage class has no shortest time.
    """

    name: str
    size: int
    crc32c: int | None
    generation: int
    written_at: float = field(default=0.0, compare=False)
    kept_by: str = field(default="", compare=False)
    billed_until: float = field(default=0.0, compare=False)


class Storage(Protocol):
    """Objects under one root, a folder or a bucket's prefix.

    Every call may raise `BucketNotFound`, `StorageForbidden` or `StorageUnavailable`,
    the last only after retries of its own, and `InvalidName` for a name that could lead
    elsewhere as a path. Threads may share an instance.
    """

    @property
    def uri(self) -> Uri:
        """The root, without a slash at its end."""
        ...

    def list(self, prefix: str = "") -> list[StoredObject]:
        """The objects whose names start with `prefix`, sorted by name; a root that is absent has none.

        Raises:
            InvalidName: One of the names could lead elsewhere as a path.
        """
        ...

    def walk(self, prefix: str = "", *, deep: bool = True) -> Iterator[StoredObject]:
        """The same one after the other, for more objects than a list should hold.

        A name that could lead elsewhere is logged and skipped: it does not hold up the others.

        Args:
            prefix: What the names start with.
            deep: Whether to go into the folders that are met after the prefix.

        Yields:
            Each object, in the order of the names' characters; a page or a folder is in memory at a time.
        """
        ...

    def folders(self) -> tuple[str, ...]:
        """The first parts of the names that have several, each once."""
        ...

    def stat(self, name: str) -> StoredObject | None:
        """Describe one object, its checksum included; None if it is absent."""
        ...

    def read(self, name: str, most: int = SMALL_BYTES) -> bytes | None:
        """A small object's content; None if it is absent.

        Args:
            name: The object's name.
            most: No more bytes than these are held in memory.

        Raises:
            InvalidRecord: It is larger.
        """
        ...

    def read_with_generation(self, name: str, most: int = SMALL_BYTES) -> tuple[bytes, int] | None:
        """A small object's content and the generation to replace; None if it is absent.

        The content may be newer than the generation, never older: replacing with an
        outdated generation fails.

        Raises:
            InvalidRecord: It is larger than `most`.
        """
        ...

    def read_range(self, name: str, offset: int, size: int, generation: int | None = None) -> bytes:
        """A part of an object's content, which need not be small.

        Args:
            name: The object's name.
            offset: The first byte.
            size: The number of bytes, in one piece in memory.
            generation: The one to read, so that several parts are of one content.

        Returns:
            The bytes: fewer than `size` where the object ends before.

        Raises:
            Absent: There is no such object.
            Changed: It has another generation by now, and the one asked for is gone.
        """
        ...

    def download(self, name: str, path: Path) -> StoredObject:
        """Copy an object to a file that is absent, or whole and verified.

        Raises:
            Absent: There is no such object.
            DiskFull: No space is left for the file.
        """
        ...

    def create(
        self, name: str, source: bytes | Path, crc32c: int | None = None, sha256: str | None = None
    ) -> StoredObject:
        """Write an object that is not there yet.

        Args:
            name: The object's name.
            source: Its content, or the file that holds it.
            crc32c: The content's checksum where it is known already, which saves reading
                a file twice; a content that differs from it is refused.
            sha256: The content's digest, in hex, where it is known: held against the bytes as
                they are read to be sent.

        Raises:
            AlreadyThere: An object of that name exists; it is left as it is.
            FileAltered: The file is not what its size or digest says; no object is made of it.
            DiskFull: No space is left, in a local folder.
        """
        ...

    def copy_from(self, source: Storage, stored: StoredObject, name: str) -> StoredObject:
        """Write an object that is not there yet: a copy of another one, made by the service.

        None of its bytes come to this machine. One identity, the process's own, needs the
        permission to read the one and to create the other, be they in one bucket or in two.

        Args:
            source: Where from: a storage of the same kind.
            stored: The very object to copy, as it was listed there.
            name: The new object's name.

        Returns:
            The new object, of the same size and crc32c.

        Raises:
            AlreadyThere: An object of that name exists; it is left as it is.
            Changed: The object to copy has another generation by now, or is gone.
        """
        ...

    def replace(self, name: str, data: bytes, generation: int) -> StoredObject:
        """Write an object in place of the very one that was read.

        Raises:
            Changed: The object has another generation by now, or is gone.
        """
        ...

    def delete(self, name: str, generation: int) -> None:
        """Remove the very object that was read or listed; one that is gone already is as good.

        Raises:
            Changed: The object has another generation by now; it is left as it is.
        """
        ...

    def delete_many(self, objects: Iterable[StoredObject]) -> None:
        """Remove the very objects that were listed, in as few requests as the place allows.

        One that is gone already is as good. One that has another generation by now is left: list again.
        """
        ...

    def kept_when_deleted(self, prefix: str) -> Iterator[str]:
        """What the place keeps of deleted objects with names that start so, in words; often nothing."""
        ...


def removal_command(uri: str, generation: int) -> str:
    """The command that removes the very object that was found, for a message."""
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
    """Return what was read of an object, if that is all of it.

    Raises:
        InvalidRecord: It has more bytes than the most.
    """
    if len(content) > most:
        raise InvalidRecord(
            f"{uri}: expected at most {most} bytes, got more. Find out who wrote it, and remove it."
        )
    return content
