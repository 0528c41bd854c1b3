"""Read TFRecord files, as warm-up requests and events are kept in.

Source:
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/third_party/xla/xla/tsl/lib/io/record_reader.cc
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import google_crc32c

from redraw.checkpoint.bundle.encoding import MalformedError, mask_crc32c
from redraw.storage.files import open_regular

_HEADER = struct.Struct("<QI")  # the length, and its checksum
_FOOTER = struct.Struct("<I")  # the checksum of the record


def is_tf_record(path: Path) -> bool:
    """Whether a file begins as a TFRecord file does: with a length, and the checksum of that."""
    with open_regular(path) as file:
        header = file.read(_HEADER.size)
    return len(header) == _HEADER.size and _HEADER.unpack(header)[1] == mask_crc32c(
        google_crc32c.value(header[:8])
    )


def read_records(
    source: Path | bytes, longest: int | None = None, *, cut_longer: int | None = None
) -> Iterator[bytes]:
    """The records of a TFRecord file that is not compressed.

    Args:
        source: The file, or its content.
        longest: Records of more bytes are skipped, unread.
        cut_longer: Of records of more bytes come one more than these, unchecked.

    Yields:
        Each record, after its checksum was seen to hold.

    Raises:
        MalformedError: The file is cut off, or a checksum does not hold.
    """
    left = len(source) if isinstance(source, bytes) else source.stat().st_size
    with io.BytesIO(source) if isinstance(source, bytes) else open_regular(source) as file:
        while left:
            header = _read(file, _HEADER.size)
            length, checksum = _HEADER.unpack(header)
            _check(header[:8], checksum, "a record's length")
            left -= _HEADER.size + length + _FOOTER.size
            if left < 0:
                raise MalformedError(f"a record of {length} bytes", f"a file that ends {-left} bytes earlier")
            if cut_longer is not None and length > cut_longer:
                yield _read(file, cut_longer + 1)
                file.seek(length - cut_longer - 1 + _FOOTER.size, io.SEEK_CUR)
                continue
            if longest is not None and length > longest:
                file.seek(length + _FOOTER.size, io.SEEK_CUR)
                continue
            record = _read(file, length)
            (checksum,) = _FOOTER.unpack(_read(file, _FOOTER.size))
            _check(record, checksum, "a record")
            yield record


def _read(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise MalformedError(f"{size} more bytes", f"{len(data)}: the file is cut off")
    return data


def _check(data: bytes, checksum: int, what: str) -> None:
    got = mask_crc32c(google_crc32c.value(data))
    if got != checksum:
        raise MalformedError(f"{what} with checksum {checksum:#010x}", f"one with {got:#010x}")
