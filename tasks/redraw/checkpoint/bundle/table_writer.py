"""Write the table of a checkpoint's index, with the same bytes as TensorFlow's own writer.

Source:
    https://github.com/tensorflow/tensorflow/tree/v2.21.0/third_party/xla/xla/tsl/lib/io
    (table_builder.cc, block_builder.cc, table_options.h)
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from os.path import commonprefix

import google_crc32c

from redraw.checkpoint.bundle.encoding import encode_varint, mask_crc32c
from redraw.checkpoint.bundle.table import FOOTER_SIZE, MAGIC

_BLOCK_SIZE = 256 * 1024
_RESTART_INTERVAL = 16


def encode_table(items: Iterable[tuple[bytes, bytes]], block_size: int = _BLOCK_SIZE) -> bytes:
    """Lay out a table, uncompressed.

    Args:
        items: Keys and values, each key greater than the one before it.
        block_size: Bytes after which a block ends.
    """
    table = bytearray()
    index = _Block(restart_interval=1)
    block = _Block(restart_interval=_RESTART_INTERVAL)
    handle: bytes | None = None
    last = b""
    for key, value in items:
        if handle is not None:
            index.add(_separator(last, key), handle)
            handle = None
        block.add(key, value)
        last = key
        if block.size >= block_size:
            handle, block = _append(table, block), _Block(restart_interval=_RESTART_INTERVAL)
    if not block.empty:
        handle = _append(table, block)
    meta_index = _append(table, _Block(restart_interval=1))
    if handle is not None:
        index.add(_successor(last), handle)
    footer = meta_index + _append(table, index)
    return bytes(table) + footer.ljust(FOOTER_SIZE - 8, b"\0") + struct.pack("<Q", MAGIC)


class _Block:
    def __init__(self, *, restart_interval: int) -> None:
        self._interval = restart_interval
        self._data = bytearray()
        self._restarts = [0]
        self._since_restart = 0
        self._last = b""

    @property
    def empty(self) -> bool:
        return not self._data

    @property
    def size(self) -> int:
        return len(self._data) + 4 * (len(self._restarts) + 1)

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self._since_restart < self._interval:
            shared = len(commonprefix((self._last, key)))
        else:
            self._restarts.append(len(self._data))
            self._since_restart = 0
        for number in (shared, len(key) - shared, len(value)):
            self._data += encode_varint(number)
        self._data += key[shared:] + value
        self._since_restart += 1
        self._last = key

    def encode(self) -> bytes:
        numbers = [*self._restarts, len(self._restarts)]
        return bytes(self._data) + struct.pack(f"<{len(numbers)}I", *numbers)


def _append(table: bytearray, block: _Block) -> bytes:
    """Add a block and its trailer; return its handle."""
    content = block.encode()
    handle = encode_varint(len(table)) + encode_varint(len(content))
    typed = content + b"\0"
    table += typed + struct.pack("<I", mask_crc32c(google_crc32c.value(typed)))
    return handle


def _separator(last: bytes, following: bytes) -> bytes:
    """The shortest key that is at least `last` and below `following`."""
    shared = len(commonprefix((last, following)))
    if shared < min(len(last), len(following)) and last[shared] + 1 < following[shared]:
        return last[:shared] + bytes([last[shared] + 1])
    return last


def _successor(last: bytes) -> bytes:
    """A short key that is at least `last`."""
    for position, byte in enumerate(last):
        if byte != 0xFF:
            return last[:position] + bytes([byte + 1])
    return last
