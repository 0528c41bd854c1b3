"""Write the data files of a checkpoint, under other names until all of them are whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redraw.checkpoint.bundle.prefix import bundle_file, shard_name
from redraw.checkpoint.bundle.written_digests import WrittenDigests
from redraw.storage.files import PARTIAL_SUFFIX, Checksums, writing_to


class ShardFiles:
    """The data files, one open at a time; the next begins where one would exceed its size.

    Attributes:
        number: The file that is open, counted from 0; -1 before the first.
        position: Where the next byte goes in it.
        digests: Path to SHA-256 in hex of the files, once they are finished and where digests were
            asked for; a file from which bytes were taken back has none.
    """

    def __init__(self, prefix: Path, shard_bytes: int, *, durable: bool, digested: bool = False) -> None:
        """Prepare to write; no file is made yet."""
        self.number = -1
        self.position = 0
        self.digests: dict[Path, Checksums] = {}
        self._prefix = prefix
        self._shard_bytes = shard_bytes
        self._durable = durable
        self._descriptor = -1
        self._open_path = prefix
        self._written = WrittenDigests() if digested else None

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
            if self._written:
                self._written.spoil()
            raise

    def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises:
            DiskFull: There is no room for them.
        """
        rest = memoryview(chunk)
        with writing_to(self._open_path):
            while rest:
                written = os.pwrite(self._descriptor, rest, self.position)
                self.position += written
                rest = rest[written:]
        if self._written:
            self._written.grow(len(chunk))

    def finish(self) -> int:
        """Give the files their names, which say how many there are.

        Returns:
            Their number, at least 1.
        """
        if self.number < 0:
            self._next_file()
        self._end_file()
        count = self.number + 1
        digests = self._written.finish() if self._written else [None] * count
        self._stop_digests()
        for number, digest in enumerate(digests):
            path = bundle_file(self._prefix, shard_name(number, count))
            self._path(number).replace(path)
            if digest:
                self.digests[path] = digest
        return count

    def discard(self) -> None:
        """Remove what was written and not named yet."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._stop_digests()
        for number in range(self.number + 1):
            self._path(number).unlink(missing_ok=True)

    def _next_file(self) -> None:
        self._end_file()
        self.number += 1
        self.position = 0
        self._open_path = self._path(self.number)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with writing_to(self._open_path):
            self._descriptor = os.open(self._open_path, flags, 0o666)
        if self._written:
            self._written.begin(self._open_path)

    def _end_file(self) -> None:
        if self._descriptor < 0:
            return
        with writing_to(self._open_path):
            if self._durable:
                os.fsync(self._descriptor)
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _stop_digests(self) -> None:
        if self._written:
            self._written.stop()

    def _path(self, number: int) -> Path:
        return bundle_file(self._prefix, f".data-{number:05d}{PARTIAL_SUFFIX}")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Some network file systems have no such thing as a folder's sync.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
