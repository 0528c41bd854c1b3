"""Count the differences of one output, in memory that does not grow with the number of rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from redraw.checkpoint.bundle.dtypes import name_of_array
from redraw.inspect.answers.batches import RequestBatch
from redraw.inspect.answers.comparing import compare_values, is_float, misfit_of
from redraw.inspect.answers.samples import LargestRows, RandomRows
from redraw.records.results import DifferenceBar, DifferingAnswer, OutputDifference, ValueChange
from redraw.serving.values import encode_values

_EXAMPLES, _POINTS, _SEED = 10, 300, 23
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
# More values than these are no classes, and a larger table could not be read.
_MOST_CLASSES, _MOST_CELLS = 50, 400
_MOST_SHOWN, _LONGEST_SHOWN = 64, 200
# Bins of 2 % width from 1e-12 to 1e12; smaller and larger differences count in the outermost bins.
_LEAST, _GROWTH = 1e-12, math.log(1.02)
_BINS = math.ceil(math.log(1e24) / _GROWTH) + 1
_BARS_A_DECADE = 3


class OutputTally:
    """The differences of one output.

    Args:
        signature: The name of the signature.
        output: The name of the output.
        tolerance: How much floats may differ.
    """

    def __init__(self, signature: str, output: str, tolerance: float) -> None:
        self._names, self._tolerance = (signature, output), tolerance
        self.rows = self.changed = self._not_finite = 0
        self._dtypes = dict[str, None]()
        self._misfit = ""
        self._sketch, self._worst = DifferenceSketch(), LargestRows(_EXAMPLES)
        self._points = RandomRows[tuple[float, float]](_POINTS, _SEED)
        self._classes: Counter[tuple[Any, Any]] | None = Counter()
        self._texts = False

    def add(self, batch: RequestBatch, here: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Compare the answers to more rows; returns which of them changed, [rows] of bool."""
        self.rows += batch.rows
        self._dtypes |= dict.fromkeys(str(name_of_array(array)) for array in (here, other))
        problem = misfit_of(other, here, batch.rows, self._tolerance)
        if problem is not None:
            self.changed += batch.rows if problem else 0
            self._misfit = self._misfit or (problem and f"{problem} ({batch.row_name(0)})")
            return np.full(batch.rows, bool(problem))
        gaps, differs = compare_values(other, here, self._tolerance)
        largest = gaps.reshape(batch.rows, -1).max(axis=1, initial=0.0)
        changed = np.asarray(differs.reshape(batch.rows, -1).any(axis=1))
        self.changed += int(changed.sum())
        self._texts = here.dtype.kind in "OSU"
        self._add_gaps(batch, here, other, np.where(changed, largest, 0.0))
        finite = np.isfinite(largest)
        self._not_finite += int((~finite).sum())
        self._sketch.add(largest[finite])
        self._add_classes(here, other)
        return changed

    def _add_gaps(self, batch: RequestBatch, here: np.ndarray, other: np.ndarray, gaps: np.ndarray) -> None:
        def example(row: int, gap: float) -> DifferingAnswer:
            return DifferingAnswer(
                row=batch.row_name(row),
                difference=gap if math.isfinite(gap) and not self._texts else None,
                inputs={name: _to_readable(values[row]) for name, values in batch.inputs.items()},
                here=_to_readable(here[row]),
                other=_to_readable(other[row]),
            )

        self._worst.add(gaps, example)
        if not self._texts and here.dtype.kind != "c" and here.size:
            first, second = (each.reshape(batch.rows, -1) for each in (other, here))
            width = first.shape[1]
            self._points.add(batch.rows, lambda row: (_at(first, row, width), _at(second, row, width)))

    def _add_classes(self, here: np.ndarray, other: np.ndarray) -> None:
        if self._classes is None:
            return
        if is_float(here.dtype) or is_float(other.dtype) or here.size != len(here):
            self._classes = None
            return
        self._classes.update(zip(here.reshape(-1).tolist(), other.reshape(-1).tolist(), strict=True))
        if len({value for pair in self._classes for value in pair}) > _MOST_CLASSES:
            self._classes = None

    def result(self) -> OutputDifference:
        """The record of the differences."""
        signature, output = self._names
        sketch, numbers = self._sketch, not self._texts and self._sketch.count > 0
        return OutputDifference(
            signature=signature,
            output=output,
            dtype=" and ".join(self._dtypes),
            rows=self.rows,
            changed=self.changed,
            not_finite=self._not_finite,
            largest=sketch.largest if numbers else None,
            mean=sketch.mean if numbers else None,
            quantiles={name: sketch.quantile(share) for name, share in _QUANTILES.items()} if numbers else {},
            histogram=tuple(DifferenceBar(low=a, high=b, rows=n) for a, b, n in sketch.bars())
            if numbers
            else (),
            points=tuple(pair for pair in self._points.rows if all(map(math.isfinite, pair))),
            classes=tuple(
                ValueChange(here=_to_readable(pair[0]), other=_to_readable(pair[1]), rows=rows)
                for pair, rows in (self._classes or Counter()).most_common(_MOST_CELLS)
            ),
            examples=tuple(self._worst),
            misfit=self._misfit,
        )


def _at(rows: np.ndarray, row: int, width: int) -> float:
    """One element of a row, at a different column for each row."""
    return float(rows[row, row % width])


def _to_readable(value: object) -> Any:
    """A value as JSON, or its dtype and shape if it is too large to read."""
    array = np.asarray(value, dtype=object if isinstance(value, bytes) else None)
    if array.size > _MOST_SHOWN:
        return f"{name_of_array(array)} {list(array.shape)}"
    return _shorten(encode_values(array))


def _shorten(value: object) -> Any:
    if isinstance(value, list):
        return [_shorten(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _shorten(item) for name, item in value.items()}
    return f"{value[:_LONGEST_SHOWN]}…" if isinstance(value, str) and len(value) > _LONGEST_SHOWN else value


class DifferenceSketch:
    """A histogram of differences; those of 0 are counted separately."""

    def __init__(self) -> None:
        self.count = 0
        self.equal = 0
        self.largest = 0.0
        self._sum = 0.0
        self._bins = np.zeros(_BINS, np.int64)

    def add(self, gaps: np.ndarray) -> None:
        """Count differences, which must be finite and not negative."""
        above = gaps[gaps > 0]
        self.count += len(gaps)
        self.equal += len(gaps) - len(above)
        if len(above):
            self.largest = max(self.largest, float(above.max()))
            # Scaled, so that the sum does not overflow.
            self._sum += float((above / 2**64).sum())
            places = np.log(np.maximum(above / _LEAST, 1.0)) / _GROWTH
            self._bins += np.bincount(np.minimum(places.astype(np.intp), _BINS - 1), minlength=_BINS)

    @property
    def mean(self) -> float:
        """The mean of all differences; 0 if there are none."""
        return min(self._sum / self.count * 2.0**64, self.largest) if self.count else 0.0

    def quantile(self, share: float) -> float:
        """The quantile at this share of the differences, within 1 %; 0 if there are none."""
        rank = math.ceil(share * self.count)
        if rank <= self.equal:
            return 0.0
        place = int(np.searchsorted(np.cumsum(self._bins), rank - self.equal))
        return min(_LEAST * math.exp((place + 0.5) * _GROWTH), self.largest)

    def bars(self) -> Iterator[tuple[float, float, int]]:
        """The bars of the histogram (from, to, count), three for each power of ten; 0 to 0 for equal ones."""
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
