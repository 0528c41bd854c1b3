"""The checksums of files while they are written: on other cores, and with no pass of its own at the end."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import google_crc32c

from redraw.storage.files import Checksums

# Large, for between two blocks threads wait for each other: on a busy machine for long.
_BLOCK = 4 * 1024 * 1024
_END, _SPOILED = 0, -1


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
