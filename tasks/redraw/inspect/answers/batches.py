"""Batches of requests, with the source, labels and fields of their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from redraw.serving.requests import take_rows


@dataclass(frozen=True, kw_only=True)
class RequestBatch:
    """A request to a signature.

    Attributes:
        source: The source of its rows, such as a file name.
        signature: The signature that it is for.
        inputs: Input name to values, [rows, …].
        unit: The unit of its source: `line`, `record` or `row`.
        numbers: For each row the number of its line or record, from 1 on, or of the row, from 0 on.
        labels: Output name to the true answers, [rows, …].
        fields: Name of a field of recorded requests to a value for each row.
    """

    source: str
    signature: str
    inputs: Mapping[str, np.ndarray]
    unit: str
    numbers: np.ndarray
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    fields: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.numbers)

    def row_name(self, row: int) -> str:
        """The name of a row in messages."""
        return f"{self.source} {self.unit} {self.numbers[row]}"

    def part(self, start: int, stop: int) -> RequestBatch:
        """The rows from `start` to before `stop`."""
        rows = range(start, min(stop, self.rows))
        return replace(
            self,
            inputs=take_rows(self.inputs, rows),
            numbers=self.numbers[start:stop],
            labels=take_rows(self.labels, rows),
            fields={name: values[start:stop] for name, values in self.fields.items()},
        )


def split_batch(batch: RequestBatch, most_rows: Callable[[], int]) -> Iterator[RequestBatch]:
    """Split a batch into parts of at most `most_rows()` rows each."""
    start = 0
    while start < batch.rows:
        stop = start + most_rows()
        yield batch if start == 0 and stop >= batch.rows else batch.part(start, stop)
        start = stop


def join_batches(batches: Sequence[RequestBatch]) -> RequestBatch:
    """Join batches of one source, signature and form."""
    first = batches[0]
    return replace(
        first,
        inputs=_concatenate([batch.inputs for batch in batches]),
        numbers=np.concatenate([batch.numbers for batch in batches]),
        labels=_concatenate([batch.labels for batch in batches]),
        fields={name: [value for batch in batches for value in batch.fields[name]] for name in first.fields},
    )


def _concatenate(sides: Sequence[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    return {name: np.concatenate([side[name] for side in sides]) for name in sides[0]}
