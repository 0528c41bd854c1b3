"""Write the data files of a checkpoint, under other names until all of them are whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import google_crc32c

from redraw.checkpoint.bundle.prefix import bundle_file, shard_name
from redraw.storage.files import PARTIAL_SUFFIX, Checksums, writing_to

# Large, for between two blocks threads wait for each other: on a busy machine for long.
_BLOCK = 4 * 1024 * 1024
_END, _SPOILED = 0, -1


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
    descriptor = os.open(folder, os.O_DIRECTORY)
    try:
        # Some network file systems have no such thing as a folder's sync.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class WrittenDigests:
    """The digests of files that are written one after the other, some bytes behind who writes them.

    They are read back from the page cache, so that no bytes have to be held that a slower
    digest has not come to yet. Call `stop` when done, or threads go on waiting.
    """

    def __init__(self) -> None:
        """Prepare; no thread runs yet."""
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)
        self._files: list[tuple[SimpleQueue[int], Future[Checksums | None]]] = []

    def begin(self, path: Path) -> None:
        """Go on to the next file, which exists."""
        self._tell(_END)
        sizes: SimpleQueue[int] = SimpleQueue()
        self._files.append((sizes, self._pool.submit(_follow, path, sizes)))

    def grow(self, size: int) -> None:
        """Take the next bytes, which are in the file."""
        if size:
            self._tell(size)

    def spoil(self) -> None:
        """Say that bytes were taken back: the file gets no digest."""
        self._tell(_SPOILED)

    def finish(self) -> list[Checksums | None]:
        """Wait for the checksums of each file, in their order; None where it was spoiled.

        Raises:
            OSError: A file cannot be read.
        """
        self._tell(_END)
        return [digest.result() for _, digest in self._files]

    def stop(self) -> None:
        """End the threads, whatever they wait for."""
        self.spoil()
        self._pool.shutdown()

    def _tell(self, size: int) -> None:
        if self._files:
            self._files[-1][0].put(size)


def _follow(path: Path, sizes: SimpleQueue[int]) -> Checksums | None:
    digest, crc32c, missing = hashlib.sha256(), 0, 0
    with path.open("rb", buffering=0) as file:
        while size := sizes.get():
            if size == _SPOILED:
                return None
            missing += size
            while missing:
                block = file.read(min(missing, _BLOCK))
                if not block:
                    return None  # taken back already
                digest.update(block)
                crc32c = google_crc32c.extend(crc32c, block)
                missing -= len(block)
    return Checksums(crc32c=crc32c, sha256=digest.hexdigest())
