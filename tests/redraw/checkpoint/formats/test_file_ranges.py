from __future__ import annotations

import io
import os

import pytest

from redraw.checkpoint.formats.file_ranges import FileRange

CONTENT = os.urandom(300_000)
START, SIZE = 1_000, 250_000


def read_some(offset: int, size: int) -> bytes:
    """As storage may answer: with less than was asked for, if it is much."""
    return CONTENT[offset : offset + min(size, 90_000)]


@pytest.mark.parametrize("position", [0, 1, 65_535, 65_536, 70_000, 249_999, 250_000, 250_001])
@pytest.mark.parametrize("size", [1, 100, 65_535, 65_536, 65_537, 200_000, 400_000])
def test_read_range_from_any_position_gives_what_a_file_gives(position: int, size: int) -> None:
    ours, plain = FileRange(read_some, START, SIZE), io.BytesIO(CONTENT[START : START + SIZE])
    ours.seek(position)
    plain.seek(position)
    for _ in range(2):
        assert ours.read(size) == plain.read(size)
        assert ours.tell() == min(plain.tell(), max(position, SIZE))


@pytest.mark.parametrize(
    ("offset", "whence"), [(7, os.SEEK_SET), (-7, os.SEEK_END), (3, os.SEEK_CUR), (-9, os.SEEK_CUR)]
)
def test_seek_range_goes_where_a_file_goes(offset: int, whence: int) -> None:
    ours, plain = FileRange(read_some, START, SIZE), io.BytesIO(CONTENT[START : START + SIZE])
    for file in (ours, plain):
        file.seek(20)
    assert ours.seek(offset, whence) == plain.seek(offset, whence)
    assert ours.read(5) == plain.read(5)
