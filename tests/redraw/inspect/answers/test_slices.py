"""Rows counted by the values of what they are sorted by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.inspect.answers.batches import RequestBatch
from redraw.inspect.answers.comparison import SliceTally


@pytest.mark.parametrize(
    ("values", "slices"),
    [
        ([*map(float, ["nan"] * 3), 1.0], {"nan": 3, "1.0": 1}),
        (["a" * 10_000_000 + end for end in "xy"], {"a" * 60 + "…": 2}),
        ([[1, 2], [1, 2], {"a": 1}, None], {"[1, 2]": 2, "{'a': 1}": 1, "None": 1}),
        ([True, 1, 1.0, 1, False, 0, -0.0], {"True": 1, "1": 2, "1.0": 1, "False": 1, "0": 1, "-0.0": 1}),
        ([1, "1", b"1", "nan", float("nan")], {"1": 1, "'1'": 2, "'nan'": 1, "nan": 1}),
        (["other values", "x"], {"'other values'": 1, "x": 1}),
        ([*range(60)], {**{str(number): 1 for number in range(50)}, "other values": 10}),
    ],
    ids=["nan", "long", "lists", "kinds", "texts", "others", "many"],
)
def test_result_has_a_slice_for_each_value(values: list[Any], slices: dict[str, int]) -> None:
    tally = SliceTally(["field"])
    for _ in range(2):
        batch = RequestBatch(
            source="log",
            signature="serving_default",
            inputs={"x": np.arange(len(values))},
            unit="line",
            numbers=np.arange(len(values)),
            fields={"field": values},
        )
        tally.add(batch, {"y": np.ones(len(values), bool)})
    found = {one.value: (one.rows, one.changed["y"]) for one in tally.result() if one.by == "field"}
    assert found == {value: (2 * rows, 2 * rows) for value, rows in slices.items()}


@pytest.mark.parametrize("dtype", ["bool", "int4", "uint64"])
def test_result_has_slices_of_labels_that_are_whole_numbers(dtype: str) -> None:
    labels = np.array([0, 1, 1]).astype(numpy_dtype(dtype))
    batch = RequestBatch(
        source="log",
        signature="serving_default",
        inputs={"x": np.arange(3)},
        unit="line",
        numbers=np.arange(3),
        labels={"y": labels},
    )
    tally = SliceTally([])
    tally.add(batch, {"y": np.ones(3, bool)})
    words = ["True", "False"] if dtype == "bool" else ["1", "0"]
    assert [(one.value, one.rows) for one in tally.result()] == [(words[0], 2), (words[1], 1)]
