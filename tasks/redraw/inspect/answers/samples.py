"""Samples of rows: at random, with the largest differences, or resampled."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from redraw.errors import InvalidDefinition

T = TypeVar("T")
_RESAMPLES = 200
_SEED = 19
Metrics = Mapping[str, float]


class RandomRows(Generic[T]):
    """A random sample of a stream of rows, each equally likely; the same seed gives the same sample.

    Args:
        size: The most rows of the sample.
        seed: The seed of the random numbers.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.seen = 0
        self.rows: list[T] = []
        self._size, self._random = size, np.random.default_rng(seed)

    def add(self, count: int, make: Callable[[int], T]) -> None:
        """Offer more rows; `make` is called only for those that are drawn."""
        first = min(max(self._size - len(self.rows), 0), count)
        self.rows += map(make, range(first))
        places = self._random.integers(0, self.seen + np.arange(first, count) + 1)
        for row in np.flatnonzero(places < self._size):
            self.rows[places[row]] = make(first + int(row))
        self.seen += count


class LargestRows:
    """The rows with the largest differences; of equal differences, the first.

    Args:
        size: The most rows.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._seen = 0
        self._heap: list[tuple[float, int, Any]] = []

    def add(self, gaps: np.ndarray, make: Callable[[int, float], Any]) -> None:
        """Offer the differences of more rows; rows without a difference are ignored."""
        least = self._heap[0][0] if len(self._heap) == self._size else 0.0
        rows = np.flatnonzero(gaps > least)
        for row in rows[np.argsort(-gaps[rows], kind="stable")][: self._size].tolist():
            gap = float(gaps[row])
            if len(self._heap) < self._size or gap > self._heap[0][0]:
                entry = (gap, -(self._seen + row), make(row, gap))
                push = heapq.heappush if len(self._heap) < self._size else heapq.heapreplace
                push(self._heap, entry)
        self._seen += len(gaps)

    def __iter__(self) -> Iterator[Any]:
        return (row for _, _, row in sorted(self._heap, key=lambda entry: (-entry[0], -entry[1])))


def resample_metrics(
    measure: Callable[[np.random.Generator], tuple[Metrics, Metrics]], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Measure the metrics of random draws of the rows.

    Args:
        measure: Draws rows, and returns the metrics of both sides.
        names: The metrics.

    Returns:
        Metric name to the values of both sides, [200, 2], without metrics that some draw lacks.
    """
    random = np.random.default_rng(_SEED)
    values = np.full((_RESAMPLES, len(names), 2), np.nan)
    for draw in range(_RESAMPLES):
        try:
            sides = measure(random)
        except InvalidDefinition:  # the metric may need all rows
            return {}
        values[draw] = [[side.get(name, np.nan) for side in sides] for name in names]
    by_name = {name: values[:, place] for place, name in enumerate(names)}
    return {name: pairs for name, pairs in by_name.items() if np.isfinite(pairs).all()}
