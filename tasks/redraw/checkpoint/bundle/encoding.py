"""The byte encodings that checkpoint files are made of: varints, checksums, ordered keys.

Source:
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/lib/strings/ordered_code.cc
    and tensorflow/core/util/saved_tensor_slice_util.cc (`EncodeTensorNameSlice`),
    third_party/xla/xla/tsl/lib/hash/crc32c.h (`Mask`) there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from redraw.errors import CheckpointCorrupt

_MASK_DELTA = 0xA282EAD8
_LONGEST_VARINT = 10


class MalformedError(ValueError):
    """Malformed bytes; the caller, which knows the file, adds where they are.

    Attributes:
        expected: What belongs there.
        got: What is there.
    """

    def __init__(self, expected: str, got: str) -> None:
        """Keep both sides for the message."""
        super().__init__(f"expected {expected}, got {got}")
        self.expected = expected
        self.got = got

    def found_in(self, path: Path | str, what: str = "") -> CheckpointCorrupt:
        """The error for a user: what of which file is damaged, and what to do."""
        subject = f"{what}: " if what else ""
        return CheckpointCorrupt(
            f"{subject}expected {self.expected}, got {self.got}, in {path}. Copy the checkpoint again from"
            " where it was saved, or choose another checkpoint."
        )


def mask_crc32c(checksum: int) -> int:
    """The form in which a CRC-32C is stored next to the data that it covers."""
    rotated = (checksum >> 15) | (checksum << 17)
    return (rotated + _MASK_DELTA) & 0xFFFFFFFF


def encode_varint(value: int) -> bytes:
    """Encode a number of at least zero in groups of seven bits, the lowest first."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append((value & 0x7F) | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def read_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Read a varint of at most 64 bits.

    Args:
        data: The bytes.
        position: The varint's first byte.
        end: Where the part of `data` that may be read ends.

    Returns:
        The number, and the position after it.

    Raises:
        MalformedError: It does not end within its 10 bytes, or before `end`.
    """
    value = 0
    for count in range(_LONGEST_VARINT):
        if position >= end:
            raise MalformedError("the rest of a varint", "the end of the data")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            if value >= 1 << 64:
                raise MalformedError("a varint of 64 bits", f"{value:#x}")
            return value, position
    raise MalformedError(f"a varint of at most {_LONGEST_VARINT} bytes", "more bytes")


def encode_slice_key(key: bytes, extents: Sequence[tuple[int, int]]) -> bytes:
    """The index key of one slice of a partitioned tensor (`EncodeTensorNameSlice`).

    Args:
        key: The whole tensor's key.
        extents: For each dimension where the slice starts and how long it is, -1
            if the slice declares to take all of it.

    Returns:
        The key, which sorts before those of whole tensors.
    """
    escaped = b"".join(_ESCAPES.get(byte, bytes([byte])) for byte in key)
    numbers = b"".join(_ordered_signed(start) + _ordered_signed(length) for start, length in extents)
    return _ordered_unsigned(0) + escaped + b"\x00\x01" + _ordered_unsigned(len(extents)) + numbers


_ESCAPES = {0x00: b"\x00\xff", 0xFF: b"\xff\x00"}


def _ordered_unsigned(value: int) -> bytes:
    length = (value.bit_length() + 7) // 8
    return bytes([length]) + value.to_bytes(length, "big")


def _ordered_signed(value: int) -> bytes:
    magnitude = ~value if value < 0 else value
    length = magnitude.bit_length() // 7 + 1
    # The header: as many one-bits as the encoding has bytes, flipped for negative numbers
    # by the exclusive or, so that the bytes sort as the numbers do.
    header = ((1 << length) - 1) << (8 * length - length)
    return ((value % (1 << (8 * length))) ^ header).to_bytes(length, "big")
