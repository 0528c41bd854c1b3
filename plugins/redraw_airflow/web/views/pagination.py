"""Splits a table that may have thousands of rows into pages."""

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
        rows: The rows of the page.
        matches: How many rows match the search.
        total: How many rows there are in all.
        page: The page's number, from 1.
        pages: How many pages the matches fill, at least one.
    """

    rows: Sequence[T]
    matches: int
    total: int
    page: int
    pages: int


def has_words(text: str, *parts: str) -> bool:
    """Whether each word of a text is in one of the parts, in upper or lower case."""
    searched = " ".join(parts).casefold()
    return all(word in searched for word in text.casefold().split())


def cut_page(matches: Sequence[T], total: int, page: int) -> RowPage[T]:
    """Cut a page out of the rows that match a search.

    Args:
        matches: The matching rows.
        total: How many rows there are in all.
        page: The page's number, from 1; the last one if there are fewer.
    """
    pages = max(1, -(-len(matches) // _ROWS))
    page = min(page, pages)
    rows = matches[(page - 1) * _ROWS : page * _ROWS]
    return RowPage(rows=rows, matches=len(matches), total=total, page=page, pages=pages)
