"""Where served values came from: sums of it, and values that are no numbers."""

from __future__ import annotations

import json

import pytest

from redraw.errors import NonFiniteWeights
from redraw.export.weights.ledger import Dropped, Ledger, NonFinite, Served, note_non_finite, note_saved_keys

LEDGER = Ledger(
    served=tuple(
        Served(variable=name, key=f"net/{name}", dtype=dtype, shape=shape)
        for name, dtype, shape in (
            ("kernel", "float32", (3, 2)),
            ("half", "bfloat16", (5,)),
            ("step", "int64", ()),
            ("words", "string", (7,)),
            ("table", "resource", (9,)),
            ("none", "float64", (4, 0)),
        )
    ),
    dropped=tuple(
        Dropped(key=f"{number}", rule=rule) for number, rule in enumerate(("step", "metric", "step"))
    ),
)


def test_ledger_counts_bytes_of_numbers_and_tensors_by_rule() -> None:
    assert LEDGER.served_bytes == 24 + 10 + 8
    assert LEDGER.summary().served == 6
    assert [*LEDGER.summary().dropped.items()] == [("metric", 1), ("step", 2)]


def test_note_saved_keys_gives_each_variable_its_own() -> None:
    keys = {entry.variable: f"variables/{entry.variable}" for entry in LEDGER.served}
    noted = note_saved_keys(LEDGER, keys)
    assert [entry.saved_as for entry in noted.served] == [*keys.values()]
    assert json.loads(noted.to_bytes())["served"][0] == {
        "variable": "kernel",
        "key": "net/kernel",
        "dtype": "float32",
        "shape": [3, 2],
        "saved_as": "variables/kernel",
    }


def test_note_non_finite_that_is_allowed_lists_variables_with_such_values_by_name() -> None:
    noted = note_non_finite(LEDGER, {"step": 0, "kernel": 3, "half": 1}, allowed=True)
    assert noted.non_finite == (NonFinite(variable="half", count=1), NonFinite(variable="kernel", count=3))
    assert noted.served == LEDGER.served


def test_note_non_finite_of_finite_values_is_the_same_ledger() -> None:
    for allowed in (False, True):
        assert note_non_finite(LEDGER, {"kernel": 0}, allowed=allowed) == LEDGER


@pytest.mark.parametrize(("variables", "more"), [(5, ""), (6, " …")])
def test_note_non_finite_that_is_not_allowed_names_the_first_five(variables: int, more: str) -> None:
    counts = {entry.variable: number for number, entry in enumerate(LEDGER.served[:variables], start=1)}
    shown = ", ".join(
        f"{counts[name]} in {name!r} (checkpoint key 'net/{name}')" for name in sorted(counts)[:5]
    )
    with pytest.raises(NonFiniteWeights) as refused:
        note_non_finite(LEDGER, counts, allowed=False)
    assert f"got NaN or infinity: {shown}{more}, {variables} of 6 variables." in str(refused.value)
