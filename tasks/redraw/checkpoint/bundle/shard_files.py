"""Write the data files of a checkpoint, under temporary names until all of them are complete."""

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

# Large, because threads wait for each other between two blocks, on a busy machine for long.
_BLOCK = 4 * 1024 * 1024
_END, _SPOILED = 0, -1


class ShardFiles:
    """The data files, one open at a time; the next begins where one would exceed its size.

    Attributes:
        number: The open file, counted from 0; -1 before the first.
        position: The offset of the next byte in it.
        digests: Path to checksums of the finished files, if `digested`; a file that was truncated
            after a failed tensor has none.
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
        self._digesting = WrittenDigests() if digested else None

    @contextmanager
    def tensor(self, size: int) -> Iterator[None]:
        """Write one tensor of about `size` bytes inside the block; a failure removes its bytes."""
        if self.number < 0 or (self.position and self.position + size > self._shard_bytes):
            self._next_file()
        start = self.position
        try:
            yield
        except BaseException:
            os.ftruncate(self._descriptor, start)
            self.position = start
            if self._digesting:
                self._digesting.spoil()
            raise

    def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises:
            DiskFull: There is no room for them.
        """
        remaining = memoryview(chunk)
        with writing_to(self._open_path):
            while remaining:
                count = os.pwrite(self._descriptor, remaining, self.position)
                self.position += count
                remaining = remaining[count:]
        if self._digesting:
            self._digesting.grow(len(chunk))

    def finish(self) -> int:
        """Give the files their final names, which contain their number.

        Returns:
            Their number, at least 1.
        """
        if self.number < 0:
            self._next_file()
        self._end_file()
        count = self.number + 1
        digests = self._digesting.finish() if self._digesting else [None] * count
        self._stop_digests()
        for number, digest in enumerate(digests):
            path = bundle_file(self._prefix, shard_name(number, count))
            self._path(number).replace(path)
            if digest:
                self.digests[path] = digest
        return count

    def discard(self) -> None:
        """Remove the files that have no final name yet."""
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
        if self._digesting:
            self._digesting.begin(self._open_path)

    def _end_file(self) -> None:
        if self._descriptor < 0:
            return
        with writing_to(self._open_path):
            if self._durable:
                os.fsync(self._descriptor)
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _stop_digests(self) -> None:
        if self._digesting:
            self._digesting.stop()

    def _path(self, number: int) -> Path:
        return bundle_file(self._prefix, f".data-{number:05d}{PARTIAL_SUFFIX}")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power failure."""
    descriptor = os.open(folder, os.O_DIRECTORY)
    try:
        # Some network file systems cannot sync a folder.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class WrittenDigests:
    """Digests files in threads while they are written one after the other.

    The threads read the files back from the page cache, so no bytes queue up in memory for
    a slower digest. Call `stop` at the end, or the threads wait forever.
    """

    def __init__(self) -> None:
        """Prepare; no thread runs yet."""
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)
        self._files: list[tuple[SimpleQueue[int], Future[Checksums | None]]] = []

    def begin(self, path: Path) -> None:
        """Start on the next file, which exists."""
        self._send(_END)
        sizes: SimpleQueue[int] = SimpleQueue()
        self._files.append((sizes, self._pool.submit(_follow, path, sizes)))

    def grow(self, size: int) -> None:
        """Digest the next `size` bytes, which are in the file."""
        if size:
            self._send(size)

    def spoil(self) -> None:
        """Give the file no digest, because bytes of it were removed."""
        self._send(_SPOILED)

    def finish(self) -> list[Checksums | None]:
        """Wait for the checksums of each file, in their order; None for one that was spoiled.

        Raises:
            OSError: A file cannot be read.
        """
        self._send(_END)
        return [digest.result() for _, digest in self._files]

    def stop(self) -> None:
        """End the threads."""
        self.spoil()
        self._pool.shutdown()

    def _send(self, size: int) -> None:
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
                    return None  # truncated already
                digest.update(block)
                crc32c = google_crc32c.extend(crc32c, block)
                missing -= len(block)
    return Checksums(crc32c=crc32c, sha256=digest.hexdigest())
