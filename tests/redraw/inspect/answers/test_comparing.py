"""Two answers, next to each other: what counts as the same."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest

from redraw.inspect.answers.batches import RequestBatch
from redraw.inspect.answers.comparing import difference
from redraw.inspect.answers.tally import OutputTally
from redraw.records.results import OutputDifference

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("first", "second"), [(NAN, 1.0), (1.0, NAN), (INF, 1.0), (NAN, INF), (1.0, 2.0)])
def test_difference_of_nan_or_infinity_and_a_number_is_told(first: float, second: float, dtype: type) -> None:
    want, got = np.array([0.0, first]).astype(dtype), np.array([0.0, second]).astype(dtype)
    assert difference(want, got, 0.1).startswith("values differ by up to")


def test_difference_of_infinities_of_other_signs_is_told() -> None:
    assert difference(np.float32([INF]), np.float32([-INF]), 0.1) == "values differ by up to inf"


@pytest.mark.parametrize("value", [NAN, INF, -INF, 0.0, 3.5])
def test_difference_of_equal_values_is_none(value: float) -> None:
    for dtype in (np.float32, ml_dtypes.bfloat16):
        array = np.array([value, 1.0]).astype(dtype)
        assert difference(array, array.copy(), 0.0) == ""


def test_difference_is_relative_to_the_largest_value_and_at_least_to_one() -> None:
    for largest, gap, same in (
        (100.0, 0.9, True),
        (100.0, 1.1, False),
        (0.5, 0.009, True),
        (0.5, 0.011, False),
    ):
        want, got = np.array([largest, 0.0]), np.array([largest, gap])
        assert (difference(want, got, 0.01) == "") == same, (largest, gap)


def test_difference_that_rounding_explains_is_none() -> None:
    epsilon = float(np.finfo(np.float32).eps)
    one = np.ones(1, np.float32)
    assert difference(one, one * np.float32(1 + 8 * epsilon), 0.0) == ""
    assert difference(one, one * np.float32(1 + 10 * epsilon), 0.0) != ""


@pytest.mark.parametrize(
    ("other", "here", "changed", "misfit"),
    [
        (np.float32(1), np.float32(1.001), 0, ""),
        (np.zeros(7), np.zeros(7), 0, ""),  # the values of ragged rows in a line
        (np.array([b"a"] * 4, object), np.array([b"a"] * 4, object), 0, ""),
        (np.float32(1), np.float32(2), 3, "1 of 1 values of all 3 rows together (log row 0)"),
        (np.zeros(7), np.eye(7)[0], 3, "1 of 7 values of all 3 rows together (log row 0)"),
        (np.zeros(7), np.zeros(8), 3, "shape [8] instead of [7] (log row 0)"),
        (np.zeros(3), np.array([b""] * 3, object), 3, "texts instead of float64 (log row 0)"),
        (np.zeros((3, 0)), np.zeros((3, 0)), 0, ""),
        (np.array([2**53] * 3), np.array([2**53, 2**53 + 1, 2**53]), 1, ""),
        (np.array([0.0, NAN, INF]), np.array([-0.0, NAN, INF]), 0, ""),
    ],
)
def test_tally_of_answers_of_any_form_counts_the_rows_that_changed(
    other: np.ndarray, here: np.ndarray, changed: int, misfit: str
) -> None:
    batch = RequestBatch(source="log", signature="s", inputs={}, unit="row", numbers=np.arange(3))
    tally = OutputTally("s", "y", 0.01)
    assert tally.add(batch, np.asarray(here), np.asarray(other)).sum() == changed
    found = tally.result()
    assert (found.rows, found.changed, found.misfit) == (3, changed, misfit)
    assert json.dumps(found.examples and found.examples[0].inputs, allow_nan=False)


@pytest.mark.parametrize(
    ("want", "got", "found"),
    [
        (np.zeros(2, np.float32), np.zeros(2, np.float64), "float64 of rank 1 instead of float32 of rank 1"),
        (np.zeros(2), np.zeros((2, 1)), "float64 of rank 2 instead of float64 of rank 1"),
        (np.zeros(2), np.zeros(3), "shape [3] instead of [2]"),
        (np.array([1, 2, 3]), np.array([1, 0, 0]), "2 of 3 values differ"),
        (np.array([b"a", b"b"], object), np.array([b"a", b"c"], object), "1 of 2 values differ"),
        (np.zeros((0, 2)), np.zeros((0, 2)), ""),
    ],
)
def test_difference_of_other_forms_and_kinds(want: np.ndarray, got: np.ndarray, found: str) -> None:
    assert difference(want, got, 0.0) == found


def _added(*parts: tuple[list[float], list[float]], dtype: type = np.float64) -> OutputDifference:
    tally = OutputTally("s", "y", 0.01)
    for other, here in parts:
        inputs = {
            "x": np.arange(len(here)),
            "long": np.zeros((len(here), 65)),
            "full": np.ones((len(here), 64), bool),
            "text": np.array([b"a" * 201] * len(here), object),
        }
        batch = RequestBatch(
            source="log", signature="s", inputs=inputs, unit="row", numbers=np.arange(len(here))
        )
        tally.add(batch, np.array(here, dtype), np.array(other, dtype))
    return tally.result()


def test_tally_shows_which_rows_differ_most_and_how_many_by_how_much() -> None:
    found = _added(([0.0, 1.0, 2.0, 1.0], [0.0, 1.001, 11.0, 1.5]), ([3.0, 0.0], [3.0, np.inf]))
    assert [(one.row, one.difference, one.other, one.here) for one in found.examples] == [
        ("log row 1", None, 0.0, "Infinity"),
        ("log row 2", 9.0, 2.0, 11.0),
        ("log row 3", 0.5, 1.0, 1.5),
    ]
    assert found.examples[1].inputs == {
        "x": 2,
        "long": "float64 [65]",
        "full": [True] * 64,
        "text": "a" * 200 + "…",
    }
    assert (found.rows, found.changed, found.not_finite, found.largest) == (6, 3, 1, 9.0)
    assert found.mean == pytest.approx((9 + 0.5 + 0.001) / 5)
    assert {name: pytest.approx(value, rel=0.01) for name, value in found.quantiles.items()} == {
        "p50": 0.001,
        **dict.fromkeys(("p90", "p99", "p99.9"), 9.0),
    }
    bars = [(bar.low, bar.high, bar.rows) for bar in found.histogram if bar.rows]
    thirds = [10 ** (third / 3) for third in (-9, -8, -1, 0, 2, 3)]
    assert bars[0] == (0.0, 0.0, 2)
    assert [rows for *_, rows in bars] == [2, 1, 1, 1]
    assert [side for *both, _ in bars[1:] for side in both] == pytest.approx(thirds)
    assert len(found.histogram) == 13  # without a gap between the smallest and the largest
    assert found.points == ((0.0, 0.0), (1.0, 1.001), (2.0, 11.0), (1.0, 1.5), (3.0, 3.0))
    assert found.classes == ()


def test_tally_counts_pairs_of_whole_numbers_while_they_are_few() -> None:
    found = _added(([1, 2, 1, 1], [1, 3, 1, 2]), ([2], [3]), dtype=np.int64)
    assert sorted((pair.other, pair.here, pair.rows) for pair in found.classes) == [
        (1, 1, 2),
        (1, 2, 1),
        (2, 3, 2),
    ]
    assert found.classes[-1].rows == 1  # the most frequent first
    assert found.largest == 1.0
    same = [*range(50)]
    assert len(_added((same, same), dtype=np.int64).classes) == 50
    assert _added((same, same), ([50], [50]), ([1], [1]), dtype=np.int64).classes == ()


def test_tally_of_nothing_but_equal_answers_has_no_difference() -> None:
    found = _added(([1.0, 2.0], [1.0, 2.0]))
    assert (found.largest, found.mean, {*found.quantiles.values()}) == (0.0, 0.0, {0.0})
    assert [(bar.low, bar.high, bar.rows) for bar in found.histogram] == [(0.0, 0.0, 2)]
    assert found.examples == ()


def test_tally_of_answers_that_do_not_fit_counts_their_rows_and_names_the_first() -> None:
    batch = RequestBatch(source="log", signature="s", inputs={}, unit="row", numbers=np.arange(2, 4))
    tally = OutputTally("s", "y", 0.01)
    for other, here in (((2,), (2,)), ((3,), (4,)), ((5,), (6,)), ((1,), (1,))):
        tally.add(batch, np.ones(here), np.ones(other))
    found = tally.result()
    assert (found.rows, found.changed, found.misfit) == (8, 4, "shape [4] instead of [3] (log row 2)")


def test_tally_of_rows_of_several_values_takes_a_point_of_each_and_no_classes() -> None:
    found = _added(([[1, 2], [3, 4], [5, 6]], [[1, 2], [3, 7], [5, 6]]), dtype=np.int64)  # type: ignore[list-item]
    assert found.points == ((1, 1), (4, 7), (5, 5))
    assert (found.classes, found.changed, found.largest) == ((), 1, 3.0)


def test_tally_of_complex_numbers_has_figures_and_no_points() -> None:
    found = _added(([1j, 2.0], [1j, 5.0]), dtype=np.complex64)  # type: ignore[list-item]
    assert (found.changed, found.largest, found.points, found.classes) == (1, 3.0, (), ())


def test_tally_of_whole_numbers_that_were_floats_has_no_classes() -> None:
    batch = RequestBatch(source="log", signature="s", inputs={}, unit="row", numbers=np.arange(2))
    for dtypes in ((np.int64, np.float64), (np.float64, np.int64)):
        tally = OutputTally("s", "y", 0.01)
        tally.add(batch, *(np.arange(2, dtype=dtype) for dtype in dtypes))
        assert tally.result().classes == ()


def test_tally_of_texts_has_no_figures() -> None:
    found = _added(([b"a", b"b"], [b"a", b"c"]), dtype=object)  # type: ignore[list-item]
    assert (found.largest, found.mean, found.quantiles, found.histogram, found.points) == (
        None,
        None,
        {},
        (),
        (),
    )
    assert [(one.row, one.difference, one.other, one.here) for one in found.examples] == [
        ("log row 1", None, "b", "c")
    ]
    assert found.dtype == "string"
