"""Some rows that stand for all: at random, with the largest differences, or drawn again and again."""

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
    """So many rows of any number, each as likely as any other, and the same each time.

    Args:
        size: How many at most.
        seed: Of the draw.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.seen = 0
        self.rows: list[T] = []
        self._size, self._random = size, np.random.default_rng(seed)

    def add(self, count: int, make: Callable[[int], T]) -> None:
        """Let some more rows take part; only those that are drawn are made."""
        first = min(max(self._size - len(self.rows), 0), count)
        self.rows += map(make, range(first))
        places = self._random.integers(0, self.seen + np.arange(first, count) + 1)
        for row in np.flatnonzero(places < self._size):
            self.rows[places[row]] = make(first + int(row))
        self.seen += count


class LargestRows:
    """The rows with the largest differences, the first of those that are equally large.

    Args:
        size: How many at most.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._seen = 0
        self._heap: list[tuple[float, int, Any]] = []

    def add(self, gaps: np.ndarray, make: Callable[[int, float], Any]) -> None:
        """Look through the differences of some more rows; rows of 0 are none."""
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
    """Measure draws of the rows.

    Args:
        measure: The metrics of both sides by one draw.
        names: The metrics.

    Returns:
        Metric name to the values of both sides, [200, 2]; none of metrics that a draw cannot have.
    """
    random = np.random.default_rng(_SEED)
    found = np.full((_RESAMPLES, len(names), 2), np.nan)
    for draw in range(_RESAMPLES):
        try:
            sides = measure(random)
        except InvalidDefinition:  # what the definition measures may need all of them
            return {}
        found[draw] = [[side.get(name, np.nan) for side in sides] for name in names]
    kept = {name: found[:, place] for place, name in enumerate(names)}
    return {name: values for name, values in kept.items() if np.isfinite(values).all()}
