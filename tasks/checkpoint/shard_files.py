"""Write the data files of a checkpoint, under other names until all of them are whole."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.checkpoint.checksum import TensorChecksum
from tasks.checkpoint.prefix import bundle_file, shard_name
from tasks.files import PARTIAL_SUFFIX, writing_to

__all__ = ["ShardFiles", "sync_folder"]

_CHUNK_SIZE = 4 * 1024 * 1024
# What copy_file_range answers where a file system or a kernel cannot do it.
_CANNOT_COPY = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}


class ShardFiles:
    """The data files, one open at a time; the next begins where one would exceed its size.

    Attributes:
        number: The file that is open, counted from 0; -1 before the first.
        position: Where the next byte goes in it.
    """

    def __init__(self, prefix: Path, shard_bytes: int, *, durable: bool) -> None:
        """Prepare to write; no file is made yet."""
        self.number = -1
        self.position = 0
        self._prefix = prefix
        self._shard_bytes = shard_bytes
        self._durable = durable
        self._descriptor = -1
        self._can_copy_ranges = True

    @contextmanager
    def tensor(self, size: int) -> Iterator[None]:
        """Write one tensor of about `size` bytes inside; if that fails, nothing of it stays."""
        if self.number < 0 or (self.position and self.position + size > self._shard_bytes):
            self._next_file()
        start = self.position
        try:
            yield
        except BaseException:
            os.ftruncate(self._descriptor, start)
            self.position = start
            raise

    def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises:
            DiskFull: There is no room for them.
        """
        rest = memoryview(chunk)
        with writing_to(self._path()):
            while rest:
                written = os.pwrite(self._descriptor, rest, self.position)
                self.position += written
                rest = rest[written:]

    def copy(self, source: int, offset: int, size: int, checksum: TensorChecksum) -> int:
        """Append a range of another file, inside the kernel where it can do that.

        Args:
            source: The other file's descriptor.
            offset: The range's first byte.
            size: Its bytes.
            checksum: Takes what arrived here, not what was sent.

        Returns:
            The bytes copied: fewer than `size` when the other file ends before.

        Raises:
            DiskFull: There is no room for them.
        """
        done = 0
        while done < size:
            wanted = min(_CHUNK_SIZE, size - done)
            copied = self._copy_some(source, offset + done, wanted)
            if not copied:
                break
            checksum.update(os.pread(self._descriptor, copied, self.position))
            self.position += copied
            done += copied
        return done

    def _copy_some(self, source: int, offset: int, size: int) -> int:
        with writing_to(self._path()):
            if self._can_copy_ranges:
                try:
                    copied = os.copy_file_range(source, self._descriptor, size, offset, self.position)
                    # 0 is the end of the file, or a file system that cannot: reading tells.
                    if copied:
                        return copied
                except OSError as err:
                    if err.errno not in _CANNOT_COPY:
                        raise
                    self._can_copy_ranges = False
            return os.pwrite(self._descriptor, os.pread(source, size, offset), self.position)

    def finish(self) -> int:
        """Give the files their names, which say how many there are.

        Returns:
            Their number, at least 1.
        """
        if self.number < 0:
            self._next_file()
        self._end_file()
        count = self.number + 1
        for number in range(count):
            name = shard_name(number, count)
            self._path(number).replace(bundle_file(self._prefix, name))
        return count

    def discard(self) -> None:
        """Remove what was written and not named yet."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        for number in range(self.number + 1):
            self._path(number).unlink(missing_ok=True)

    def _next_file(self) -> None:
        self._end_file()
        self.number += 1
        self.position = 0
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with writing_to(self._path()):
            self._descriptor = os.open(self._path(), flags, 0o666)

    def _end_file(self) -> None:
        if self._descriptor < 0:
            return
        with writing_to(self._path()):
            if self._durable:
                os.fsync(self._descriptor)
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _path(self, number: int | None = None) -> Path:
        shown = self.number if number is None else number
        return bundle_file(self._prefix, f".data-{shown:05d}{PARTIAL_SUFFIX}")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Some network file systems have no such thing as a folder's sync.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
