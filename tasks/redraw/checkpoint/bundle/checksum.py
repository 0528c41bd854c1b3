"""Compute the checksum of one tensor while its bytes are read or written.

A string tensor is stored as the varint lengths of its elements, a masked CRC-32C of
those lengths, and the elements; a variant one (the state of an iterator) as the varint
length, the bytes and a masked CRC-32C of each element in turn. The tensor's checksum
covers the lengths as fixed-size numbers instead of as varints, so they have to be
decoded on the way.

Source:
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/util/tensor_bundle/tensor_bundle.cc
    (`WriteStringTensor`, `WriteVariantTensor`)
"""

from __future__ import annotations

import math
import struct

import google_crc32c
import numpy as np

from redraw.checkpoint.bundle.encoding import MalformedError, mask_crc32c, read_varint

_LONGEST_VARINT = 10
_LARGEST_SHORT_LENGTH = 0xFFFFFFFF


class FlatChecksum:
    """The checksum of a tensor whose stored bytes it covers directly."""

    def __init__(self) -> None:
        """Start before the first byte."""
        self._checksum = 0

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the tensor."""
        self._checksum = google_crc32c.extend(self._checksum, chunk)

    def finish(self) -> int:
        """The masked checksum of all bytes taken."""
        return mask_crc32c(self._checksum)


class StringChecksum:
    """The checksum of a string tensor; it also collects its elements' lengths.

    Attributes:
        lengths: The lengths read so far, in bytes, in parts; only with `keep_lengths`.
        header_size: Bytes before the first element; complete once they have passed.
    """

    def __init__(self, count: int, size: int, *, keep_lengths: bool = False) -> None:
        """Start before the first byte of a tensor of `count` elements stored in `size` bytes."""
        self._keep_lengths = keep_lengths
        self.lengths: list[np.ndarray] = []
        self.header_size = 0
        self._missing = count
        self._limit = size
        self._text = 0
        self._pending = b""
        self._in_text = False
        self._checksum = 0

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the tensor.

        Raises:
            MalformedError: A length is invalid, or they fail their own checksum.
        """
        if not self._in_text:
            chunk = self._take_header(self._pending + chunk)
        if self._in_text and chunk:
            self._text -= len(chunk)
            self._checksum = google_crc32c.extend(self._checksum, chunk)

    def finish(self) -> int:
        """The masked checksum of all bytes taken.

        Raises:
            MalformedError: The lengths do not add up to the bytes that there are.
        """
        if not self._in_text:
            raise MalformedError(f"{self._missing} more string lengths", "the end of the tensor")
        if self._text:
            raise MalformedError(
                "string lengths that add up to the tensor's bytes", f"a difference of {self._text:+d} bytes"
            )
        return mask_crc32c(self._checksum)

    def _take_header(self, data: bytes) -> bytes:
        """Read lengths and their checksum as far as `data` has them; return the bytes after them."""
        size = self._take_lengths(data) if self._missing else 0
        self.header_size += size
        self._pending = data[size:]
        if self._missing or len(self._pending) < 4:
            return b""
        stored, rest = self._pending[:4], self._pending[4:]
        expected = mask_crc32c(self._checksum)
        if struct.unpack("<I", stored)[0] != expected:
            raise MalformedError(
                f"the checksum {expected:#010x} of the string lengths", f"0x{stored[::-1].hex()}"
            )
        self._checksum = google_crc32c.extend(self._checksum, stored)
        self.header_size += 4
        self._pending, self._in_text = b"", True
        return rest

    def _take_lengths(self, data: bytes) -> int:
        lengths, size = _decode_varints(data, self._missing)
        if lengths.size and int(lengths.max()) > self._limit:
            raise MalformedError(
                f"strings of at most {self._limit} bytes", f"a string of {lengths.max()} bytes"
            )
        self._missing -= lengths.size
        self._text += int(lengths.sum())
        if self._keep_lengths:
            self.lengths.append(lengths)
        self._checksum = google_crc32c.extend(self._checksum, covered_lengths(lengths))
        if self._missing and len(data) - size >= _LONGEST_VARINT:
            raise MalformedError(f"a string length (varint) of at most {_LONGEST_VARINT} bytes", "more bytes")
        return size


class VariantChecksum:
    """The checksum of a variant tensor."""

    def __init__(self, count: int) -> None:
        """Start before the first byte of a tensor of `count` elements."""
        self._missing = count
        self._remaining: int | None = None
        self._pending = b""
        self._checksum = 0

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the tensor.

        Raises:
            MalformedError: A length is invalid, an element fails its own checksum, or there
                are more bytes than elements.
        """
        data, position = self._pending + chunk, 0
        while position < len(data):
            if self._remaining is None:
                size = self._take_length(data, position)
            elif self._remaining:
                size = self._take_bytes(data, position)
            else:
                size = self._take_checksum(data, position)
            if not size:
                break
            position += size
        self._pending = data[position:]

    def finish(self) -> int:
        """The masked checksum of all bytes taken.

        Raises:
            MalformedError: The last elements are missing.
        """
        if self._missing:
            raise MalformedError(f"{self._missing} more variants", "the end of the tensor")
        return mask_crc32c(self._checksum)

    def _take_length(self, data: bytes, position: int) -> int:
        if not self._missing:
            raise MalformedError("the end of the tensor", f"{len(data) - position} more bytes")
        head = data[position : position + _LONGEST_VARINT]
        if len(head) < _LONGEST_VARINT and all(byte > 0x7F for byte in head):
            return 0
        self._remaining, size = read_varint(head, 0, len(head))
        self._checksum = google_crc32c.extend(self._checksum, struct.pack("<Q", self._remaining))
        return size

    def _take_bytes(self, data: bytes, position: int) -> int:
        part = data[position : position + (self._remaining or 0)]
        self._remaining = (self._remaining or 0) - len(part)
        self._checksum = google_crc32c.extend(self._checksum, part)
        return len(part)

    def _take_checksum(self, data: bytes, position: int) -> int:
        stored = data[position : position + 4]
        if len(stored) < 4:
            return 0
        expected = mask_crc32c(self._checksum)
        if struct.unpack("<I", stored)[0] != expected:
            raise MalformedError(f"the checksum {expected:#010x} of a variant", f"0x{stored[::-1].hex()}")
        self._checksum = google_crc32c.extend(self._checksum, stored)
        self._remaining, self._missing = None, self._missing - 1
        return 4


TensorChecksum = FlatChecksum | StringChecksum | VariantChecksum


def checksum_for(
    dtype: str, shape: tuple[int, ...], size: int, *, keep_lengths: bool = False
) -> TensorChecksum:
    """The checksum class for a tensor of that dtype and shape, stored in `size` bytes."""
    if dtype == "string":
        return StringChecksum(math.prod(shape), size, keep_lengths=keep_lengths)
    return VariantChecksum(math.prod(shape)) if dtype == "variant" else FlatChecksum()


def finish_checksum(checksum: TensorChecksum, expected: int | None) -> int:
    """The masked checksum of all bytes taken, compared with the expected one (None: unknown).

    Raises:
        MalformedError: The checksums differ, or bytes are missing.
    """
    actual = checksum.finish()
    if expected is not None and actual != expected:
        raise MalformedError(f"the checksum {expected:#010x}", f"{actual:#010x}")
    return actual


def covered_lengths(lengths: np.ndarray) -> bytes:
    """The form of a string tensor's lengths that its checksum covers."""
    if not lengths.size or int(lengths.max()) <= _LARGEST_SHORT_LENGTH:
        return lengths.astype("<u4").tobytes()
    return b"".join(
        struct.pack("<I" if length <= _LARGEST_SHORT_LENGTH else "<Q", length) for length in lengths.tolist()
    )


def _decode_varints(data: bytes, count: int) -> tuple[np.ndarray, int]:
    """Up to `count` complete varints from the start of `data`, and their size in bytes."""
    raw = np.frombuffer(data, np.uint8, count=min(len(data), count * _LONGEST_VARINT))
    ends = np.flatnonzero(raw < 0x80)[:count]
    starts = np.concatenate(([0], ends[:-1] + 1)) if ends.size else ends
    widths = ends - starts + 1
    longest = int(widths.max(initial=0))
    if longest >= _LONGEST_VARINT:
        # Ten bytes hold lengths from 2^63 on, which no file has.
        raise MalformedError(
            f"a string length (varint) of fewer than {_LONGEST_VARINT} bytes", f"{longest} bytes"
        )
    values = np.zeros(ends.size, np.uint64)
    for group in range(longest):
        here = widths > group
        bits = raw[starts[here] + group].astype(np.uint64) & np.uint64(0x7F)
        values[here] |= bits << np.uint64(7 * group)
    return values, int(ends[-1]) + 1 if ends.size else 0
