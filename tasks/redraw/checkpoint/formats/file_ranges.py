"""A Python file object for a part of another file, or for a file in a bucket."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import lru_cache

# HDF5 moves back and forth in its file in small steps; cached blocks save requests to a bucket.
_BLOCK, _CACHED_BLOCKS = 64 * 1024, 32


class FileRange(io.RawIOBase):
    """A seekable binary file whose bytes a function reads on demand."""

    def __init__(self, read_at: Callable[[int, int], bytes], start: int, size: int) -> None:
        """Prepare to read.

        Args:
            read_at: Offset and size to bytes; it may return fewer, and is then called again.
            start: The first byte of the file, for `read_at`.
            size: The bytes in it.
        """
        super().__init__()
        self._read_at = read_at
        self._start, self._size, self._position = start, size, 0
        self._block = lru_cache(_CACHED_BLOCKS)(self._read_block)

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
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
        count, position = min(len(view), max(0, self._size - self._position)), 0
        while position < count:
            part = self._part(count - position)
            if not part:
                break
            view[position : position + len(part)] = part
            position += len(part)
            self._position += len(part)
        return position

    def _part(self, count: int) -> bytes:
        """Some bytes from the position on."""
        if count >= _BLOCK:
            return self._read_at(self._start + self._position, count)
        number, offset = divmod(self._position, _BLOCK)
        return self._block(number)[offset : offset + count]

    def _read_block(self, number: int) -> bytes:
        begin = number * _BLOCK
        return self._read_at(self._start + begin, min(_BLOCK, self._size - begin))
