"""Logged requests, with or without answers, read in batches: JSON lines, or TFRecords of `PredictionLog`.

A line is read as TensorFlow Serving's REST interface has requests. It may have `labels`, output name to a
value for each row, and any other field. Rows go on together as far as they have the same form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.errors import InvalidRequest
from redraw.inspect.answers.batches import RequestBatch, join_batches, split_batch
from redraw.inspect.answers.naming import Misfit, Naming
from redraw.inspect.answers.record_parts import MODEL, Problems, RecordedFile, RecordParts, cast_values
from redraw.records import Signature, TensorSpec
from redraw.serving.values import decode_tensor

_LABELS = "labels"
# Of what waits to be asked together: as text or tensors, and how many forms may wait.
_BATCH_BYTES, _MOST_FORMS = 4 << 20, 16
_MOST_KNOWN = 100

# Signature and names of labels.
_Kind = tuple[str, tuple[str, ...]]


@dataclass
class _Waiting:
    """Rows that wait to be asked together: inputs and labels as they were read, a list of rows each."""

    numbers: list[int] = field(default_factory=list)
    inputs: dict[str, list[Any]] = field(default_factory=dict)
    labels: dict[str, list[Any]] = field(default_factory=dict)
    fields: dict[str, list[Any]] = field(default_factory=dict)
    size: int = 0

    def of_record(self, places: slice) -> _Waiting:
        """The rows of one record."""
        inputs, labels, fields = (
            {name: rows[places] for name, rows in side.items()}
            for side in (self.inputs, self.labels, self.fields)
        )
        return _Waiting(numbers=self.numbers[places], inputs=inputs, labels=labels, fields=fields)


class LoggedRequests:
    """The requests of a file, for the signatures that are compared.

    Args:
        path: The file.
        source: What it is called.
        naming: The signatures, and what is left out of them.
        fields: Fields of lines that are kept for each row.
        problems: Takes what is wrong with lines: the others count all the same.

    Attributes:
        models: Each model that requests name, and how many do; not without end.
    """

    def __init__(
        self, path: Path, source: str, naming: Naming, fields: Sequence[str], problems: Problems
    ) -> None:
        self._file, self._source = RecordedFile(path, answers=False), source
        self._naming, self._fields, self._problems = naming, fields, problems
        self._waiting: dict[_Kind, _Waiting] = {}
        self._names: dict[tuple[str, ...], Mapping[str, str]] = {}
        self._signatures: dict[str | None, str | None] = {}
        self.models = Counter[str]()

    def batches(self, rows: Callable[[], int]) -> Iterator[RequestBatch]:
        """Read the file.

        Args:
            rows: How many rows a batch shall have at most.

        Yields:
            Its requests, in the signatures' dtypes.
        """
        for kind in self._kinds_that_are_full(rows):
            for batch in self._decoded(kind[0], self._waiting.pop(kind)):
                yield from split_batch(batch, rows)

    def _kinds_that_are_full(self, rows: Callable[[], int]) -> Iterator[_Kind]:
        others, number = dict[str, int](), 0
        try:
            for number, record in self._file:
                try:
                    parts = self._file.parse(record)
                    name = self._signature(parts.signature)
                    if name is None:
                        other = str(parts.signature)
                        other = other if other in others or len(others) < _MOST_FORMS else "…"
                        others[other] = others.get(other, 0) + 1
                        continue
                    kind, waiting = self._add(number, name, parts)
                except (Misfit, MalformedError, InvalidRequest) as err:
                    self._problems.add_misfit(f"{self._source}: {self._file.unit} {number}", err)
                    continue
                waiting.size += len(record)
                self._count_model(parts.line)
                if len(waiting.numbers) >= rows() or waiting.size > _BATCH_BYTES:
                    yield kind
                elif len(self._waiting) > _MOST_FORMS:
                    yield next(iter(self._waiting))
        except MalformedError as err:
            self._problems.add(f"{self._source}: {self._file.cut_off(number, err)}")
        yield from list(self._waiting)
        if not number and not self._problems.count:
            self._problems.add(f"{self._source}: expected requests, got an empty file")
        for name, count in sorted(others.items()):
            self._naming.note(
                f"{self._source}: {count} requests for signature {name!r}, which the versions do not have"
                " in common"
            )

    def _add(self, number: int, name: str, parts: RecordParts) -> tuple[_Kind, _Waiting]:
        """Let the rows of one record wait; raises `Misfit` if its inputs have not as many rows each."""
        signature = self._naming.signatures[name]
        given = {
            key: value if isinstance(value, list) else _read_tensor(key, signature.inputs[key], value)
            for key, value in self._inputs(name, parts.inputs)
        }
        rows = _count_rows(given)
        labels = _labels_of(parts.line.get(_LABELS), signature, rows) if _LABELS in parts.line else {}
        kind = (name, tuple(labels))
        waiting = self._waiting.setdefault(kind, _Waiting())
        waiting.numbers += [number] * rows
        # A few bytes can declare many equal values.
        waiting.size += sum(value.nbytes for value in given.values() if isinstance(value, np.ndarray))
        for key, value in given.items():
            waiting.inputs.setdefault(key, []).extend(value)
        for key, values in labels.items():
            waiting.labels.setdefault(key, []).extend(values)
        for key in self._fields:
            value = parts.line.get(key)
            spread = value if isinstance(value, list) and len(value) == rows else [value] * rows
            waiting.fields.setdefault(key, []).extend(spread)
        return kind, waiting

    def _count_model(self, line: Mapping[str, Any]) -> None:
        # In a line of JSON a field of that name may mean anything.
        if MODEL in line and self._file.unit == "record":
            name = line[MODEL] if line[MODEL] in self.models or len(self.models) < _MOST_FORMS else "…"
            self.models[name] += 1

    def _signature(self, named: str | None) -> str | None:
        if named not in self._signatures:
            _forget_many(self._signatures)
            self._signatures[named] = self._naming.signature_of(named)
        return self._signatures[named]

    def _inputs(self, name: str, given: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """What a request has of each input; the names are looked up once for all requests with the same."""
        form = (name, *given)
        if form not in self._names:
            _forget_many(self._names)
            self._names[form] = self._naming.inputs(name, {theirs: theirs for theirs in given})
        return [(ours, given[theirs]) for ours, theirs in self._names[form].items()]

    def _decoded(self, name: str, waiting: _Waiting) -> Iterator[RequestBatch]:
        """What waits, as one batch; if its rows have not one form, a batch for each form."""
        try:
            yield self._batch(name, waiting)
        except (Misfit, InvalidRequest) as err:
            places = _records(waiting.numbers)
            if len(places) == 1:
                self._problems.add_misfit(f"{self._source}: {self._file.unit} {waiting.numbers[0]}", err)
                return
            forms = dict[Any, list[RequestBatch]]()
            for place in places:
                for batch in self._decoded(name, waiting.of_record(place)):
                    forms.setdefault(_form(batch), []).append(batch)
            yield from map(join_batches, forms.values())

    def _batch(self, name: str, waiting: _Waiting) -> RequestBatch:
        signature = self._naming.signatures[name]
        return RequestBatch(
            source=self._source,
            signature=name,
            inputs={
                key: _decode_rows(f"input {key!r}", signature.inputs[key], rows)
                for key, rows in waiting.inputs.items()
            },
            unit=self._file.unit,
            numbers=np.array(waiting.numbers),
            labels={
                key: _label(f"label {key!r}", signature.outputs[key], rows)
                for key, rows in waiting.labels.items()
            },
            fields=waiting.fields,
        )


def _forget_many(known: dict[Any, Any]) -> None:
    """Keep what was looked up bounded: lines may name anything."""
    if len(known) > _MOST_KNOWN:
        known.clear()


def _records(numbers: Sequence[int]) -> list[slice]:
    """Where the rows of each record are."""
    starts = [place for place in range(len(numbers)) if not place or numbers[place] != numbers[place - 1]]
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], len(numbers)], strict=True)]


def _form(batch: RequestBatch) -> Any:
    sides = (batch.inputs, batch.labels)
    return tuple((name, value.shape[1:]) for side in sides for name, value in side.items())


def _read_tensor(name: str, spec: TensorSpec, value: Any) -> Any:
    return cast_values(f"input {name!r}", spec, value) if isinstance(value, bytes) else value


def _count_rows(given: Mapping[str, Any]) -> int:
    rows = None
    for name, value in given.items():
        listed = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0)
        rows = len(value) if rows is None and listed else rows
        if not listed or len(value) != rows or not rows:
            got = f"{len(value)} rows" if listed else "no list of rows"
            raise Misfit(f"input {name!r}: expected a value for each row of the request, got {got}")
    return rows or 0


def _labels_of(labels: Any, signature: Signature, rows: int) -> dict[str, list[Any]]:
    """Output name to a label for each row."""
    named = labels if isinstance(labels, dict) else dict.fromkeys([*signature.outputs][:1], labels)
    found = {}
    for name, value in sorted(named.items()):
        if name not in signature.outputs:
            raise Misfit(f"labels: expected names of outputs, got {name!r}")
        values = value if isinstance(value, list) else [value]
        if len(values) != rows:
            raise Misfit(f"labels of {name!r}: expected one for each of {rows} rows, got {len(values)}")
        found[name] = values
    return found


def _decode_rows(where: str, spec: TensorSpec, rows: list[Any]) -> np.ndarray:
    """Rows as an array of the signature's dtype and shape."""
    from_tensors = isinstance(rows[0], np.ndarray | np.generic | bytes)
    if spec.dtype == "string" and not from_tensors:
        return decode_tensor(where, spec, rows)
    array = _stacked(where, rows) if from_tensors else cast_values(where, spec, rows)
    fits = array.ndim == len(spec.shape) and all(
        size is None or size == got for size, got in zip(spec.shape[1:], array.shape[1:], strict=True)
    )
    if not fits:
        raise Misfit(f"{where}: expected {spec}, got values of shape {list(array.shape)}")
    return array


def _stacked(where: str, rows: list[Any]) -> np.ndarray:
    """The rows of tensors, which have the dtype already."""
    if any(np.shape(row) != np.shape(rows[0]) for row in rows):
        raise Misfit(f"{where}: expected rows of one shape, got others")
    if not isinstance(rows[0], bytes) and rows[0].dtype != object:
        return np.stack(rows)
    array = np.empty((len(rows), *np.shape(rows[0])), object)
    for place, row in enumerate(rows):
        array[place] = row
    return array


def _label(where: str, spec: TensorSpec, rows: list[Any]) -> np.ndarray:
    """Labels as an array: texts as bytes, numbers in the dtype that they have."""
    if spec.dtype == "string":
        return decode_tensor(where, TensorSpec("string", (None,) * np.ndim(np.array(rows, object))), rows)
    try:
        array = np.asarray(rows)
    except OverflowError as err:  # an integer that no number of NumPy's holds, next to a float
        raise Misfit(f"{where}: expected numbers, got {rows!r:.40}") from err
    except ValueError as err:
        raise Misfit(f"{where}: expected values of one shape, got lists of different lengths") from err
    if array.dtype.kind not in "biuf":
        raise Misfit(f"{where}: expected numbers, got {rows[0]!r:.40}")
    return array
