"""Read the table of a checkpoint's index: sorted keys and values in checksummed blocks.

It is LevelDB's format: blocks of prefix-compressed entries, each followed by a byte for
its compression and a masked CRC-32C; an index block that says where the others are; a
footer that says where the index block is.

Nothing in a file is trusted before it is checked, and the file's size bounds what is
allocated.

Source:
    https://github.com/google/leveldb/blob/main/doc/table_format.md
    https://github.com/tensorflow/tensorflow/tree/v2.21.0/third_party/xla/xla/tsl/lib/io
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from redraw.checkpoint.bundle.encoding import MalformedError, mask_crc32c, read_varint

MAGIC = 0xDB4775248B80FB57
FOOTER_SIZE = 48
TRAILER_SIZE = 5

_UNCOMPRESSED, _SNAPPY = 0, 1
# Snappy's densest element writes 64 bytes from 3.
_MOST_SNAPPY_EXPANSION = 22
# Prefix compression lets a hostile file of n bytes describe about n² bytes of keys. What
# writers make of real names stays below 16, because every 16th key is written whole.
_MOST_KEY_EXPANSION = 64

_Handle = tuple[int, int]


def read_table(path: Path, name: str = "") -> Iterator[tuple[bytes, bytes]]:
    """Read a table's entries in order, checking every block on the way.

    Args:
        path: The file.
        name: Its name in messages; its path by default.

    Yields:
        Each key, greater than the one before it, and its value.

    Raises:
        CheckpointCorrupt: The file is no table, or is truncated or altered.
        FileNotFoundError: There is no such file.
    """
    with path.open("rb") as file:
        try:
            yield from _Table(file).items()
        except MalformedError as err:
            raise err.found_in(name or path) from err


class _Table:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._keys_left = _MOST_KEY_EXPANSION * self._size

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        meta_index, index = self._footer()
        self._block(*meta_index, "the meta index block")
        last: bytes | None = None
        for separator, handle in self._entries(self._block(*index, "the index block"), "the index block"):
            offset, size = _one_handle(handle)
            name = f"the block at {offset}"
            for key, value in self._entries(self._block(offset, size, name), name):
                _check_order(last, key)
                last = key
                yield key, value
            if last is None or last > separator:
                raise MalformedError(f"no key above {separator[:80]!r} in {name}", f"{last!r:.80}")

    def _footer(self) -> tuple[_Handle, _Handle]:
        if self._size < FOOTER_SIZE:
            raise MalformedError(f"an index of at least {FOOTER_SIZE} bytes", f"{self._size} bytes")
        footer = self._read(self._size - FOOTER_SIZE, FOOTER_SIZE)
        (magic,) = struct.unpack_from("<Q", footer, FOOTER_SIZE - 8)
        if magic != MAGIC:
            raise MalformedError(f"the magic number {MAGIC:#x} at the end", f"{magic:#x}")
        meta_index, position = _handle(footer, 0, FOOTER_SIZE - 8)
        index, _ = _handle(footer, position, FOOTER_SIZE - 8)
        return meta_index, index

    def _read(self, offset: int, size: int) -> bytes:
        data = os.pread(self._file.fileno(), size, offset)
        if len(data) != size:
            raise MalformedError(f"{size} bytes at offset {offset}", f"{len(data)} bytes")
        return data

    def _block(self, offset: int, size: int, name: str) -> bytes:
        room = self._size - FOOTER_SIZE - TRAILER_SIZE
        if offset + size > room:
            raise MalformedError(f"{name} to end by {room}", f"{size} bytes at offset {offset}")
        raw = self._read(offset, size + TRAILER_SIZE)
        (stored,) = struct.unpack_from("<I", raw, size + 1)
        actual = mask_crc32c(google_crc32c.value(raw[: size + 1]))
        if stored != actual:
            raise MalformedError(f"the checksum {stored:#010x} of {name}", f"{actual:#010x}")
        compression = raw[size]
        if compression == _SNAPPY:
            return _uncompress(raw[:size], name)
        if compression != _UNCOMPRESSED:
            raise MalformedError(f"{name} plain or compressed by Snappy", f"compression {compression}")
        return raw[:size]

    def _entries(self, block: bytes, name: str) -> Iterator[tuple[bytes, bytes]]:
        restarts, end = _restarts(block, name)
        position, key = 0, b""
        while position < end:
            restart = position in restarts
            restarts.discard(position)
            shared, position = read_varint(block, position, end)
            unshared, position = read_varint(block, position, end)
            length, position = read_varint(block, position, end)
            if shared > (0 if restart else len(key)) or unshared + length > end - position:
                raise MalformedError(
                    f"an entry within {name}", f"{shared} + {unshared} bytes of key, {length} of value"
                )
            self._keys_left -= shared + unshared
            if self._keys_left < 0:
                raise MalformedError(f"keys of at most {_MOST_KEY_EXPANSION} times the file", "more")
            key = key[:shared] + block[position : position + unshared]
            position += unshared
            yield key, block[position : position + length]
            position += length
        if restarts:
            raise MalformedError(f"every restart point of {name} at an entry", f"{min(restarts)}")


def _handle(data: bytes, position: int, end: int) -> tuple[_Handle, int]:
    offset, position = read_varint(data, position, end)
    size, position = read_varint(data, position, end)
    return (offset, size), position


def _one_handle(data: bytes) -> _Handle:
    handle, end = _handle(data, 0, len(data))
    if end != len(data):
        raise MalformedError("the offset and size of a block", f"{len(data)} bytes")
    return handle


def _restarts(block: bytes, name: str) -> tuple[set[int], int]:
    """The positions of the keys that are written whole, and where the entries end."""
    if len(block) < 4:
        raise MalformedError(f"{name} of at least 4 bytes", f"{len(block)} bytes")
    (count,) = struct.unpack_from("<I", block, len(block) - 4)
    end = len(block) - 4 * (count + 1)
    if end < 0 or count == 0:
        raise MalformedError(f"room for {count} restart points in {name}", f"{len(block)} bytes")
    restarts = struct.unpack_from(f"<{count}I", block, end)
    if restarts[0] != 0:
        raise MalformedError(f"the first restart point of {name} at 0", f"{restarts[0]}")
    # Even a block without entries has one restart point, at 0.
    return set(restarts) if end else set(restarts) - {0}, end


def _check_order(last: bytes | None, key: bytes) -> None:
    if last is not None and key <= last:
        kind = "the same key twice" if key == last else "keys out of order"
        raise MalformedError(f"a key above {last[:80]!r}", f"{kind}: {key[:80]!r}")


def _uncompress(data: bytes, name: str) -> bytes:
    # Imported here: TensorFlow does not compress an index, so this is rarely needed, by Airflow never.
    import cramjam

    limit = _MOST_SNAPPY_EXPANSION * len(data)
    try:
        size = cramjam.snappy.decompress_raw_len(data)
        if size > limit:
            raise MalformedError(f"{name} of at most {limit} bytes uncompressed", f"{size} bytes")
        return bytes(memoryview(cramjam.snappy.decompress_raw(data)))
    except cramjam.DecompressionError as err:
        raise MalformedError(f"a Snappy block in {name}", f"{err}") from err
