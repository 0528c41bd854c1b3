"""Requests of some rows each, with what is known of the rows: where they came from, labels, fields."""

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
        source: Where its rows came from.
        signature: Which signature it is for.
        inputs: Input name to values, [rows, …].
        unit: What a row came in: `line`, `record` or `row`.
        numbers: Of the line or record of each row, from 1 on; or of the row, from 0 on.
        labels: Output name to the true answers, [rows, …].
        fields: Name to what recorded requests have under it, a value for each row.
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
        """How many rows it has."""
        return len(self.numbers)

    def called(self, row: int) -> str:
        """What a row is called in messages."""
        return f"{self.source} {self.unit} {self.numbers[row]}"

    def part(self, start: int, stop: int) -> RequestBatch:
        """Some of its rows."""
        rows = range(start, min(stop, self.rows))
        return replace(
            self,
            inputs=take_rows(self.inputs, rows),
            numbers=self.numbers[start:stop],
            labels=take_rows(self.labels, rows),
            fields={name: values[start:stop] for name, values in self.fields.items()},
        )


def split_batch(batch: RequestBatch, most_rows: Callable[[], int]) -> Iterator[RequestBatch]:
    """A batch in parts of so many rows at most."""
    start = 0
    while start < batch.rows:
        stop = start + most_rows()
        yield batch if start == 0 and stop >= batch.rows else batch.part(start, stop)
        start = stop


def join_batches(batches: Sequence[RequestBatch]) -> RequestBatch:
    """Batches of one source, signature and form, as one."""
    first = batches[0]
    return replace(
        first,
        inputs=_joined([batch.inputs for batch in batches]),
        numbers=np.concatenate([batch.numbers for batch in batches]),
        labels=_joined([batch.labels for batch in batches]),
        fields={name: [value for batch in batches for value in batch.fields[name]] for name in first.fields},
    )


def _joined(sides: Sequence[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    return {name: np.concatenate([side[name] for side in sides]) for name in sides[0]}
