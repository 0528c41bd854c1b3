"""Rows of a table that may have thousands, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_ROWS = 30


@dataclass(frozen=True, kw_only=True)
class RowPage(Generic[T]):
    """The rows of one page.

    Attributes:
        rows: Those to show.
        found: How many were found.
        total: How many there are.
        page: Which page it is, from 1.
        pages: How many pages what was found fills, one at least.
    """

    rows: Sequence[T]
    found: int
    total: int
    page: int
    pages: int


def has_words(text: str, *parts: str) -> bool:
    """Whether each word of a text is somewhere in the parts; upper and lower case are the same."""
    searched = " ".join(parts).casefold()
    return all(word in searched for word in text.casefold().split())


def cut_page(found: Sequence[T], total: int, page: int) -> RowPage[T]:
    """Cut a page out of the rows that were found.

    Args:
        found: The rows.
        total: How many there are in all.
        page: Which page, from 1; the last one where there are fewer.
    """
    pages = max(1, -(-len(found) // _ROWS))
    page = min(page, pages)
    rows = found[(page - 1) * _ROWS : page * _ROWS]
    return RowPage(rows=rows, found=len(found), total=total, page=page, pages=pages)
