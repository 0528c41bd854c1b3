"""What was published next to a version, for people to look at: read, or the reason why it cannot be.

Anyone who may write to the bucket can put anything there. What is no JSON of the form that
validation writes is reported on the page in its place; the rest of the page is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from redraw.errors import InvalidRecord, ObjectConflict
from redraw.publish.browse import Browser
from redraw.records import Release

T = TypeVar("T")
# Parsed, JSON takes ten times its bytes of the API server's memory; a ledger of 60,000 variables fits.
PARSED_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Kept(Generic[T]):
    """Something published next to a version.

    Attributes:
        content: What it says; None where it is not kept, or cannot be read.
        problem: Why it cannot be read; empty where it can, or is not kept.
    """

    content: T | None = None
    problem: str = ""


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
    try:
        content = browser.attachment(release, name, PARSED_BYTES)
        return Kept() if content is None else Kept(content=read(content))
    except (InvalidRecord, ObjectConflict) as err:
        return Kept(problem=str(err))
