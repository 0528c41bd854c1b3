"""Checksums of tensors, however their bytes are cut into chunks."""

from __future__ import annotations

import struct
from collections.abc import Callable

import google_crc32c
import numpy as np
import pytest

from redraw.checkpoint.bundle.checksum import (
    StringChecksum,
    TensorChecksum,
    VariantChecksum,
    checksum_for,
    covered_lengths,
    finish_checksum,
)
from redraw.checkpoint.bundle.encoding import MalformedError, encode_varint, mask_crc32c

Stored = Callable[..., tuple[bytes, int]]

# With lengths that take one byte, two and three, and one whose first byte is the least that goes on.
TEXTS = (b"", b"a" * 127, b"b" * 128, b"c" * 300, *[b"d"] * 20, b"e" * 16_384)
CUTS = [1, 2, 3, 7, 11, 100_000]


def strings(*texts: bytes) -> tuple[bytes, int]:
    """A string tensor's bytes, and its checksum."""
    checksum = google_crc32c.value(struct.pack(f"<{len(texts)}I", *map(len, texts)))
    stored = struct.pack("<I", mask_crc32c(checksum))
    rest = stored + b"".join(texts)
    return b"".join(encode_varint(len(text)) for text in texts) + rest, google_crc32c.extend(checksum, rest)


def variants(*texts: bytes) -> tuple[bytes, int]:
    """A variant tensor's bytes, and its checksum."""
    content, checksum = b"", 0
    for text in texts:
        checksum = google_crc32c.extend(checksum, struct.pack("<Q", len(text)) + text)
        stored = struct.pack("<I", mask_crc32c(checksum))
        checksum = google_crc32c.extend(checksum, stored)
        content += encode_varint(len(text)) + text + stored
    return content, checksum


def feed(checksum: TensorChecksum, content: bytes, cut: int = 100_000) -> TensorChecksum:
    for start in range(0, len(content), cut):
        checksum.update(content[start : start + cut])
    return checksum


@pytest.mark.parametrize("cut", CUTS)
def test_checksum_of_strings_is_the_same_however_they_are_cut(cut: int) -> None:
    content, expected = strings(*TEXTS)
    checksum = StringChecksum(len(TEXTS), len(content), keep_lengths=True)
    assert feed(checksum, content, cut).finish() == mask_crc32c(expected)
    assert np.concatenate(checksum.lengths).tolist() == [*map(len, TEXTS)]
    assert checksum.header_size == len(content) - sum(map(len, TEXTS))
    assert feed(StringChecksum(len(TEXTS), len(content)), content, cut).finish() == mask_crc32c(expected)


@pytest.mark.parametrize("cut", CUTS)
def test_checksum_of_variants_is_the_same_however_they_are_cut(cut: int) -> None:
    content, expected = variants(*TEXTS)
    assert feed(VariantChecksum(len(TEXTS)), content, cut).finish() == mask_crc32c(expected)


@pytest.mark.parametrize("cut", [1, 100])
def test_checksum_of_strings_that_end_elsewhere_says_where(cut: int) -> None:
    content, _ = strings(b"a", b"bc")
    messages = [
        "2 more string lengths",
        "1 more string lengths",
        *["0 more string lengths"] * 4,
        *(f"add up to the tensor's bytes, got a difference of {missing}" for missing in ("+3", "+2", "+1")),
        None,
        "add up to the tensor's bytes, got a difference of -1",
    ]
    for size, message in enumerate(messages):
        checksum = feed(StringChecksum(2, 9), (content + b"x")[:size], cut)
        if message is not None:
            with pytest.raises(MalformedError) as damaged:
                checksum.finish()
            assert message in str(damaged.value)
        else:
            checksum.finish()


@pytest.mark.parametrize("cut", [1, 100])
def test_checksum_of_variants_that_end_elsewhere_says_where(cut: int) -> None:
    content, _ = variants(b"a" * 128, b"")
    for size in range(len(content)):
        missing = 2 if size < 2 + 128 + 4 else 1
        checksum = feed(VariantChecksum(2), content[:size], cut)
        with pytest.raises(MalformedError, match=f"expected {missing} more variants"):
            checksum.finish()
    with pytest.raises(MalformedError, match="expected the end of the tensor, got 3 more bytes"):
        feed(VariantChecksum(2), content + b"abc")


@pytest.mark.parametrize("kind", [strings, variants])
@pytest.mark.parametrize("cut", [1, 100])
def test_checksum_of_a_part_that_was_altered_fails(kind: Stored, cut: int) -> None:
    content, _ = kind(b"ab")
    checksum = StringChecksum(1, len(content)) if kind is strings else VariantChecksum(1)
    at = 1 if kind is strings else len(content) - 4  # the checksum that is stored
    altered = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    what = "string lengths" if kind is strings else "a variant"
    with pytest.raises(MalformedError, match=f"the checksum 0x[0-9a-f]{{8}} of (the )?{what}, got 0x"):
        feed(checksum, altered, cut)


@pytest.mark.parametrize(("limit", "fits"), [(3, True), (2, False)])
def test_checksum_of_a_string_that_is_longer_than_the_tensor_fails(limit: int, fits: bool) -> None:
    content, _ = strings(b"abc")
    if fits:
        feed(StringChecksum(1, limit), content).finish()
    else:
        with pytest.raises(MalformedError, match="strings of at most 2 bytes, got a string of 3 bytes"):
            feed(StringChecksum(1, limit), content)


def test_checksum_covers_short_lengths_in_four_bytes_and_long_ones_in_eight() -> None:
    most = 0xFFFFFFFF
    for lengths, covered in (
        ([], b""),
        ([1, most], struct.pack("<II", 1, most)),
        ([1, most, most + 1], struct.pack("<IIQ", 1, most, most + 1)),
    ):
        assert covered_lengths(np.array(lengths, np.uint64)) == covered


@pytest.mark.parametrize(("dtype", "kind"), [("string", strings), ("variant", variants), ("int8", None)])
def test_checksum_for_a_dtype_takes_as_many_elements_as_the_shape_has(
    dtype: str, kind: Stored | None
) -> None:
    content, checksum = kind(*[b"a"] * 6) if kind else (b"abc", google_crc32c.value(b"abc"))
    expected = mask_crc32c(checksum)
    fed = feed(checksum_for(dtype, (2, 3), len(content)), content)
    assert finish_checksum(fed, None) == finish_checksum(fed, expected) == expected
    with pytest.raises(
        MalformedError, match=f"expected the checksum {expected ^ 1:#010x}, got {expected:#010x}"
    ):
        finish_checksum(fed, expected ^ 1)
