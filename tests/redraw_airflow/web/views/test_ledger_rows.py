from __future__ import annotations

import pytest

from redraw_airflow.web.views.ledger_rows import LedgerRow, find_rows

_ROWS = (
    LedgerRow(key="w", fate="served", variable="Dense/kernel", tensor="float32 [2]", saved_as="v/0"),
    LedgerRow(key="b", fate="served", variable="dense/bias", tensor="float32 [2]", saved_as="v/1"),
    LedgerRow(key="w/Adam", fate="optimizer"),
    LedgerRow(key="global_step", fate="training state"),
)


@pytest.mark.parametrize(
    ("text", "fate", "keys"),
    [
        ("", "", ["w", "b", "w/Adam", "global_step"]),
        ("", "served", ["w", "b"]),
        ("", "dropped", ["w/Adam", "global_step"]),
        ("KERNEL dense", "", ["w"]),
        ("dense adam", "", []),
        ("optimizer", "dropped", ["w/Adam"]),
        ("optimizer", "served", []),
        ("v/1", "", ["b"]),
        ("FLOAT32", "served", ["w", "b"]),
    ],
)
def test_find_rows_holds_every_word_and_the_fate(text: str, fate: str, keys: list[str]) -> None:
    page = find_rows(_ROWS, text, fate)
    assert [row.key for row in page.rows] == keys
    assert (page.matches, page.total, page.page, page.pages) == (len(keys), 4, 1, 1)
