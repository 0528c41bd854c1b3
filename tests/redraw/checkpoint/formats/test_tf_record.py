"""Records of a TFRecord file, of any length and cut off anywhere."""

from __future__ import annotations

import struct
from pathlib import Path

import google_crc32c
import pytest

from redraw.checkpoint.bundle.encoding import MalformedError, mask_crc32c
from redraw.checkpoint.formats.tf_record import is_tf_record, read_records

RECORDS = [b"abc", b"defghij", b"", b"klmn", b"opqrs"]


def framed(*records: bytes) -> bytes:
    content = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        for data in (length, record):
            content += data + struct.pack("<I", mask_crc32c(google_crc32c.value(data)))
    return content


def read_on(source: bytes) -> tuple[list[bytes], bool]:
    """The records before the end or an error, and whether it was an error."""
    found = []
    try:
        for record in read_records(source):
            found.append(record)  # noqa: PERF402 - a list would lose those before the error
    except MalformedError:
        return found, True
    return found, False


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, RECORDS),
        ({"longest": 4}, [b"abc", b"", b"klmn"]),
        ({"longest": 7}, RECORDS),
        ({"longest": 0}, [b""]),
        ({"cut_longer": 4}, [b"abc", b"defgh", b"", b"klmn", b"opqrs"]),
        ({"cut_longer": 3}, [b"abc", b"defg", b"", b"klmn", b"opqr"]),
        ({"cut_longer": 0}, [b"a", b"d", b"", b"k", b"o"]),
        ({"longest": 4, "cut_longer": 5}, [b"abc", b"defghi", b"", b"klmn"]),
    ],
)
def test_read_records_skips_or_cuts_the_longer_ones(
    limits: dict[str, int], expected: list[bytes], tmp_path: Path
) -> None:
    (tmp_path / "log").write_bytes(framed(*RECORDS))
    for source in (tmp_path / "log", framed(*RECORDS)):
        assert list(read_records(source, **limits)) == expected
    assert is_tf_record(tmp_path / "log")


def test_read_records_of_a_file_that_is_cut_off_gives_the_whole_ones_before() -> None:
    content, ends = framed(*RECORDS), [0]
    for record in RECORDS:
        ends.append(ends[-1] + 8 + 4 + len(record) + 4)
    for size in range(len(content) + 1):
        whole = sum(end <= size for end in ends) - 1
        assert read_on(content[:size]) == (RECORDS[:whole], size not in ends)
    with pytest.raises(MalformedError, match="a record of 3 bytes, got a file that is 2 bytes too short"):
        list(read_records(framed(b"abc")[:-2]))


@pytest.mark.parametrize(
    ("place", "what"),
    [(0, "a record's length"), (9, "a record's length"), (13, "a record"), (16, "a record")],
)
def test_read_records_that_were_altered_fails(place: int, what: str, tmp_path: Path) -> None:
    content = bytearray(framed(b"abc"))
    content[place] ^= 1
    with pytest.raises(MalformedError, match=f"^expected {what} with checksum 0x"):
        list(read_records(bytes(content)))
    (tmp_path / "log").write_bytes(content)
    assert is_tf_record(tmp_path / "log") == (place > 12)


@pytest.mark.parametrize("size", [0, 11])
def test_file_of_fewer_bytes_than_a_header_is_no_tf_record(size: int, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(framed(b"")[:size])
    assert not is_tf_record(tmp_path / "log")
