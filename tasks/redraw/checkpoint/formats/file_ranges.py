"""A file that is a part of another one, or lies in a bucket, as Python's file objects are."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import lru_cache

# HDF5 walks its file in small steps to and fro; blocks that are kept spare a bucket many requests.
_BLOCK, _KEPT = 64 * 1024, 32


class FileRange(io.RawIOBase):
    """Bytes that a function reads, as a seekable binary file; nothing is read before it is asked for."""

    def __init__(self, read_at: Callable[[int, int], bytes], start: int, size: int) -> None:
        """Prepare to read.

        Args:
            read_at: Offset and size to bytes; fewer than asked for are asked again.
            start: The first byte of the file, for `read_at`.
            size: The bytes in it.
        """
        super().__init__()
        self._read_at = read_at
        self._start, self._size, self._position = start, size, 0
        self._block = lru_cache(_KEPT)(self._read_block)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as the file goes."""
        view = memoryview(buffer).cast("B")
        wanted, done = min(len(view), max(0, self._size - self._position)), 0
        while done < wanted:
            part = self._part(wanted - done)
            if not part:
                break
            view[done : done + len(part)] = part
            done += len(part)
            self._position += len(part)
        return done

    def _part(self, wanted: int) -> bytes:
        """Some bytes from the position on."""
        if wanted >= _BLOCK:
            return self._read_at(self._start + self._position, wanted)
        number, offset = divmod(self._position, _BLOCK)
        return self._block(number)[offset : offset + wanted]

    def _read_block(self, number: int) -> bytes:
        begin = number * _BLOCK
        return self._read_at(self._start + begin, min(_BLOCK, self._size - begin))
