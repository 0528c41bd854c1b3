"""Rows that stand for all the others."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from redraw.errors import InvalidDefinition
from redraw.inspect.answers.samples import LargestRows, Metrics, RandomRows, resample_metrics


def test_random_rows_are_all_of_few_and_any_of_many() -> None:
    few = RandomRows[int](3, seed=1)
    few.add(2, lambda row: row)
    assert (few.rows, few.seen) == ([0, 1], 2)
    counts = Counter[int]()
    for seed in range(300):
        rows = RandomRows[int](3, seed)
        for begin in (0, 5):  # in one piece that fills them, and in one more
            rows.add(5, lambda row, begin=begin: begin + row)  # type: ignore[misc]
        assert len(set(rows.rows)) == 3
        counts.update(rows.rows)
    assert sorted(counts) == [*range(10)]
    assert all(60 < count < 120 for count in counts.values())  # 90 of each are expected


def test_largest_rows_are_those_with_the_largest_differences_the_first_of_equal_ones() -> None:
    largest = LargestRows(3)
    for gaps in ([0.0, 2.0, 1.0], [0.0, 3.0, 2.0, 2.0], [2.0, 5.0]):
        largest.add(np.array(gaps), lambda row, gap: (row, gap))
    assert [*largest] == [(1, 5.0), (1, 3.0), (1, 2.0)]
    later = LargestRows(3)
    for gaps in ([5.0, 3.0, 2.0], [3.0, 4.0]):
        later.add(np.array(gaps), lambda row, gap: (row, gap))
    assert [*later] == [(0, 5.0), (1, 4.0), (1, 3.0)]
    few = LargestRows(3)
    few.add(np.array([0.0, 1.0, 1.0]), lambda row, gap: (row, gap))
    assert [*few] == [(1, 1.0), (2, 1.0)]


def test_resampled_metrics_are_those_that_every_draw_has() -> None:
    draws = 0

    def measure(random: np.random.Generator) -> tuple[Metrics, Metrics]:
        nonlocal draws
        draws += 1
        here = {"good": random.random(), "sometimes": np.nan if draws == 7 else 1.0, "here": 1.0}
        return here, {"good": 2.0, "sometimes": 1.0}

    found = resample_metrics(measure, ["good", "sometimes", "here"])
    assert [*found] == ["good"]
    assert found["good"].shape == (draws, 2) == (200, 2)
    assert len(set(found["good"][:, 0])) == 200
    assert set(found["good"][:, 1]) == {2.0}


def test_resampled_metrics_that_a_draw_cannot_have_are_none() -> None:
    def measure(random: np.random.Generator) -> tuple[Metrics, Metrics]:
        raise InvalidDefinition("too few rows")

    assert resample_metrics(measure, ["good"]) == {}
    with pytest.raises(ZeroDivisionError):
        resample_metrics(lambda random: ({"good": 1 / 0}, {}), ["good"])
