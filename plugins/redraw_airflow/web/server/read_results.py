"""The result of reading something: its content, or why it cannot be read. A page shows either in its place.

Anyone who may write to the bucket can replace a version's attachments, so any of them may be malformed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from redraw.errors import InvalidRecord, ObjectConflict, RedrawError
from redraw.publish.browse import Browser
from redraw.records import Release

T = TypeVar("T")
# Parsed JSON needs ten times its bytes in the API server's memory. A ledger of 60,000 variables fits.
PARSED_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class ReadResult(Generic[T]):
    """The result of reading something.

    Attributes:
        content: What was read; None if it does not exist, or cannot be read.
        problem: Why it cannot be read; empty if it can, or does not exist.
    """

    content: T | None = None
    problem: str = ""


def attempt(read: Callable[[], T | None], *expected: type[RedrawError]) -> ReadResult[T]:
    """Read something; an `InvalidRecord` or another expected error becomes the result's problem."""
    errors: tuple[type[RedrawError], ...] = (InvalidRecord, *expected)
    try:
        return ReadResult(content=read())
    except errors as err:
        return ReadResult(problem=str(err))


def read_attachment(
    browser: Browser, release: Release, name: str, read: Callable[[bytes], T]
) -> ReadResult[T]:
    """Read an attachment of a version.

    Args:
        browser: The bucket's browser.
        release: The version's record.
        name: The attachment's name.
        read: Parses its bytes; raises `InvalidRecord` if they are malformed.

    Returns:
        The parsed content; None if the version was published without it.
    """

    def read_content() -> T | None:
        content = browser.attachment(release, name, PARSED_BYTES)
        return None if content is None else read(content)

    return attempt(read_content, ObjectConflict)
