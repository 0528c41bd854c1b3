from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraw.checkpoint.bundle.encoding import MalformedError, encode_slice_key, encode_varint, read_varint

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


@given(value=st.integers(0, (1 << 64) - 1), before=st.binary(max_size=3), after=st.binary(max_size=3))
def test_read_varint_that_was_encoded_gives_the_number(value: int, before: bytes, after: bytes) -> None:
    encoded = encode_varint(value)
    data = before + encoded + after
    assert read_varint(data, len(before), len(data)) == (value, len(before) + len(encoded))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the end of the data"),
        (b"\x80\x80", "the end of the data"),
        (b"\x80" * 11, "got more bytes"),
        (b"\xff" * 9 + b"\x02", "of 64 bits"),
    ],
)
def test_read_varint_that_is_none_fails(data: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        read_varint(data, 0, len(data))


@given(first=st.tuples(st.binary(max_size=4), INT64), second=st.tuples(st.binary(max_size=4), INT64))
def test_encode_slice_key_sorts_as_name_and_start_do(
    first: tuple[bytes, int], second: tuple[bytes, int]
) -> None:
    encoded = [encode_slice_key(name, [(start, -1)]) for name, start in (first, second)]
    assert (encoded[0] < encoded[1]) == (first < second)
    assert (encoded[0] == encoded[1]) == (first == second)
