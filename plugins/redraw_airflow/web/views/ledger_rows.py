"""The restore ledger as one table: searched and cut into pages here, for it may have thousands of rows."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from redraw.records.attachments import decode_attachment
from redraw.records.ledger import LEDGER_SCHEMA, Dropped, Served
from redraw_airflow.web.views.pagination import RowPage, cut_page, has_words


@dataclass(frozen=True, kw_only=True)
class _Ledger:
    """The content of `ledger.json`, as far as it is shown."""

    served: tuple[Served, ...]
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """A tensor of the checkpoint, and where it went.

    Attributes:
        key: What the checkpoint calls it.
        fate: `served`, or the rule by which it was dropped.
        variable: What the served network calls it; empty where it was dropped.
        tensor: Its dtype and shape; empty where it was dropped.
        saved_as: What the SavedModel calls it; empty where it was dropped.
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
    """Read `ledger.json`: what is served first, then what was dropped; the last two are kept.

    Raises:
        InvalidRecord: It is something else.
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
        rows: The ledger's.
        text: What a row has to hold, in any of its names; upper and lower case are the same.
        fate: `served` or `dropped`; both where it is empty.
        page: Which page, from 1; the last one where there are fewer.
    """
    wanted = [row for row in rows if not fate or row.served == (fate == "served")]
    found = [
        row for row in wanted if has_words(text, row.key, row.fate, row.variable, row.tensor, row.saved_as)
    ]
    return cut_page(found, len(rows), page)
