"""The restore ledger as one table, searched and split into pages here: it may have thousands of rows."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from redraw.records.attachments import decode_attachment
from redraw.records.ledger import LEDGER_SCHEMA, Dropped, Served
from redraw_airflow.web.views.pagination import RowPage, cut_page, has_words


@dataclass(frozen=True, kw_only=True)
class _Ledger:
    """The part of `ledger.json` that is shown."""

    served: tuple[Served, ...]
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """A tensor of the checkpoint, and where it went.

    Attributes:
        key: Its name in the checkpoint.
        fate: `served`, or the rule by which it was dropped.
        variable: Its name in the served network; empty if it was dropped.
        tensor: Its dtype and shape; empty if it was dropped.
        saved_as: Its name in the SavedModel; empty if it was dropped.
    """

    key: str
    fate: str
    variable: str = ""
    tensor: str = ""
    saved_as: str = ""

    @property
    def served(self) -> bool:
        """Whether the model serves it."""
        return self.fate == "served"


@functools.lru_cache(maxsize=2)
def read_ledger(content: bytes) -> tuple[LedgerRow, ...]:
    """Read `ledger.json`: first served tensors, then dropped ones; the last two ledgers are cached.

    Raises:
        InvalidRecord: The content is malformed.
    """
    ledger = decode_attachment(_Ledger, content, newest=LEDGER_SCHEMA)
    served = (
        LedgerRow(
            key=entry.key,
            fate="served",
            variable=entry.variable,
            tensor=f"{entry.dtype} {list(entry.shape)}",
            saved_as=entry.saved_as,
        )
        for entry in ledger.served
    )
    return (*served, *(LedgerRow(key=entry.key, fate=entry.rule) for entry in ledger.dropped))


def find_rows(rows: Sequence[LedgerRow], text: str = "", fate: str = "", page: int = 1) -> RowPage[LedgerRow]:
    """Some rows of a ledger.

    Args:
        rows: All rows of the ledger.
        text: Words that a row's names have to contain, in upper or lower case.
        fate: `served` or `dropped`; empty for both.
        page: The page, from 1; the last one if there are fewer.
    """
    matching = [
        row
        for row in rows
        if (not fate or row.served == (fate == "served"))
        and has_words(text, row.key, row.fate, row.variable, row.tensor, row.saved_as)
    ]
    return cut_page(matching, len(rows), page)
