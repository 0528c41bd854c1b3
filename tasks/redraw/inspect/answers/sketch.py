"""Quantiles of any number of differences, within 1 %, in memory that does not grow."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

# Bins that are 2 % wide, from 1e-12 to 1e12: what is smaller or larger counts in the outermost.
_LEAST, _GROWTH = 1e-12, math.log(1.02)
_BINS = math.ceil(math.log(1e24) / _GROWTH) + 1
_BARS_A_DECADE = 3


class DifferenceSketch:
    """How often differences of each size came; those of 0 apart."""

    def __init__(self) -> None:
        self.count = 0
        self.equal = 0
        self.largest = 0.0
        self._sum = 0.0
        self._bins = np.zeros(_BINS, np.int64)

    def add(self, gaps: np.ndarray) -> None:
        """Count some differences, finite and from 0 on."""
        above = gaps[gaps > 0]
        self.count += len(gaps)
        self.equal += len(gaps) - len(above)
        if len(above):
            self.largest = max(self.largest, float(above.max()))
            # Of each its share, so that no sum overflows.
            self._sum += float((above / 2**64).sum())
            places = np.log(np.maximum(above / _LEAST, 1.0)) / _GROWTH
            self._bins += np.bincount(np.minimum(places.astype(np.intp), _BINS - 1), minlength=_BINS)

    @property
    def mean(self) -> float:
        """Of all that were counted; 0 of none."""
        return min(self._sum / self.count * 2.0**64, self.largest) if self.count else 0.0

    def quantile(self, share: float) -> float:
        """What this share of the differences is at most, give or take 1 %; 0 of none."""
        rank = math.ceil(share * self.count)
        if rank <= self.equal:
            return 0.0
        place = int(np.searchsorted(np.cumsum(self._bins), rank - self.equal))
        return min(_LEAST * math.exp((place + 0.5) * _GROWTH), self.largest)

    def bars(self) -> Iterator[tuple[float, float, int]]:
        """A histogram: from, to and how many, three bars to a power of ten; the equal ones from 0 to 0."""
        if self.equal:
            yield 0.0, 0.0, self.equal
        filled = np.flatnonzero(self._bins)
        if not len(filled):
            return
        middles = (np.arange(_BINS) + 0.5) * _GROWTH + math.log(_LEAST)
        bars = np.floor(middles / math.log(10) * _BARS_A_DECADE).astype(int)
        for bar in range(bars[filled[0]], bars[filled[-1]] + 1):
            rows = int(self._bins[bars == bar].sum())
            yield 10 ** (bar / _BARS_A_DECADE), 10 ** ((bar + 1) / _BARS_A_DECADE), rows
