"""The forms of values in records, beyond their types, which are checked when a record is decoded.

A field declares its form as its type: `digest: Digest`. Records that are made in Python are not checked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from redraw.errors import InvalidName
from redraw.names import check_attachment_name, check_object_name
from redraw.records.times import is_time

# TensorFlow's own bounds of a tensor's shape.
HIGHEST_RANK = 254
_MOST_ELEMENTS = 1 << 63
_VERSION_DIGITS = 16


@dataclass(frozen=True)
class Form:
    """The form of a value beyond its type: a description for messages, and a check."""

    expected: str
    fits: Callable[[Any], object]


def _matches(expected: str, pattern: str) -> Form:
    return Form(expected, re.compile(pattern).fullmatch)


def _is_valid(check: Callable[[str], str]) -> Callable[[str], bool]:
    def fits(name: str) -> bool:
        try:
            return check(name) == name
        except InvalidName:
            return False

    return fits


def _is_shape(sizes: tuple[int | None, ...]) -> bool:
    least = [1 if size is None else size for size in sizes]
    return len(least) <= HIGHEST_RANK and min(least, default=0) >= 0 and math.prod(least) < _MOST_ELEMENTS


def _is_amount(number: float) -> bool:
    return math.isfinite(number) and number >= 0


_is_object_name = _is_valid(check_object_name)
_SHAPE = Form(f"at most {HIGHEST_RANK} non-negative dimensions, with fewer than 2^63 elements", _is_shape)

Digest = Annotated[str, _matches("a SHA-256 of 64 hexadecimal digits", "[0-9a-f]{64}")]
Revision = Annotated[str, _matches("a commit of 40 or 64 hexadecimal digits", "[0-9a-f]{40}|[0-9a-f]{64}")]
Time = Annotated[str, Form("a time in UTC as YYYY-MM-DDTHH:MM:SSZ, from 1970 to 9999", is_time)]
Count = Annotated[int, Form("a number from 0 to 2^63 - 1", lambda number: 0 <= number < _MOST_ELEMENTS)]
Crc32c = Annotated[int, Form("a number of 32 bits", lambda number: 0 <= number < 1 << 32)]
Version = Annotated[
    int, Form(f"a version of 1 to {_VERSION_DIGITS} digits", lambda number: 0 < number < 10**_VERSION_DIGITS)
]
VersionText = Annotated[str, _matches(f"1 to {_VERSION_DIGITS} digits", rf"[0-9]{{1,{_VERSION_DIGITS}}}")]
Amount = Annotated[float, Form("a finite number of 0 or more", _is_amount)]
Seconds = Annotated[float, Form("a finite number of seconds, 0 or more", _is_amount)]
ShortText = Annotated[str, Form("at most 1,024 characters", lambda text: len(text) <= 1024)]
Label = Annotated[str, _matches("a label of at most 63 letters, digits, '-', '_' and '.'", r"[\w.-]{0,63}")]
ObjectName = Annotated[str, Form("a relative path without '..' or control characters", _is_object_name)]
FileName = Annotated[
    str,
    Form("a file's name", lambda name: not name or ("/" not in name and _is_object_name(name))),
]
AttachmentName = Annotated[str, Form("a file name such as report.html", _is_valid(check_attachment_name))]
Shape = Annotated[tuple[int, ...], _SHAPE]
SpecShape = Annotated[tuple[int | None, ...], _SHAPE]
