"""Rows counted by the values of what they are sorted by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.inspect.answers.batches import RequestBatch
from redraw.inspect.answers.comparison import SliceTally, common_signatures
from redraw.records import Signature, TensorSpec


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
    assert {one.signature for one in tally.result()} == {"serving_default"}
    assert tally.missing() == []
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


def test_result_has_no_slices_by_what_no_request_has_or_all_have_alike() -> None:
    batch = RequestBatch(
        source="log",
        signature="serving_default",
        inputs={"x": np.zeros((2, 3)), "same": np.zeros((2, 1), int)},
        unit="line",
        numbers=np.arange(2),
        fields={"empty": [None, None]},
    )
    tally = SliceTally(["x", "same", "empty", "label:y"])
    tally.add(batch, {"y": np.array([True, False])})
    assert tally.missing() == ["x", "empty", "label:y"]
    # Of what was asked for a slice, one of all rows too.
    assert [(one.by, one.value, one.rows, one.changed) for one in tally.result()] == [
        ("same", "0", 2, {"y": 1})
    ]


def test_common_signatures_take_the_same_requests_and_the_rest_is_named() -> None:
    def signature(dtype: str, *outputs: str) -> Signature:
        spec = TensorSpec("float32", (None,))
        return Signature(
            inputs={"x": TensorSpec(dtype, (None,)), "a": spec}, outputs=dict.fromkeys(outputs, spec)
        )

    here = {"both": signature("int64", "y", "new"), "added": signature("int64"), "turned": signature("int64")}
    other = {
        "both": signature("int64", "y", "old"),
        "gone": signature("int64"),
        "turned": signature("string"),
    }
    common, notes = common_signatures(here, other, ("8", "7"))
    assert common == {"both": here["both"]}
    assert notes == [
        "only 8 has signature 'added'",
        "only 8 has output 'new' of signature 'both'",
        "only 7 has output 'old' of signature 'both'",
        "only 7 has signature 'gone'",
        "signature 'turned' takes a (float32), x (int64) in 8 and a (float32), x (string) in 7",
    ]
