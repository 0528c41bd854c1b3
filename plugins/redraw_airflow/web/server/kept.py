"""What can be read, or why it cannot: a page shows either in its place, and the rest of it all the same.

Anyone who may write to the bucket can put anything next to a version, as what validation leaves to look at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from redraw.errors import InvalidRecord, ObjectConflict, RedrawError
from redraw.publish.browse import Browser
from redraw.records import Release

T = TypeVar("T")
# Parsed, JSON takes ten times its bytes of the API server's memory; a ledger of 60,000 variables fits.
PARSED_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Kept(Generic[T]):
    """Something that is kept somewhere.

    Attributes:
        content: What it says; None where it is not kept, or cannot be read.
        problem: Why it cannot be read; empty where it can, or is not kept.
    """

    content: T | None = None
    problem: str = ""


def attempt(read: Callable[[], T | None], *expected: type[RedrawError]) -> Kept[T]:
    """Read something, or keep what an `InvalidRecord`, or another error that is expected, says."""
    errors: tuple[type[RedrawError], ...] = (InvalidRecord, *expected)
    try:
        return Kept(content=read())
    except errors as err:
        return Kept(problem=str(err))


def read_kept(browser: Browser, release: Release, name: str, read: Callable[[bytes], T]) -> Kept[T]:
    """Read an attachment of a version.

    Args:
        browser: The bucket's.
        release: The version's record.
        name: The attachment's.
        read: What makes sense of its bytes, and raises `InvalidRecord` where there is none.

    Returns:
        What it says; nothing where the version was published without it.
    """

    def read_it() -> T | None:
        content = browser.attachment(release, name, PARSED_BYTES)
        return None if content is None else read(content)

    return attempt(read_it, ObjectConflict)
