"""Read logged requests, with or without answers, in batches: JSON lines, or TFRecords of `PredictionLog`.

A line has the form of a request to TensorFlow Serving's REST interface. It may also have `labels` (output
name to a value for each row) and any other field. Rows of the same form are batched together.
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
# Limits of the rows that wait for their batch: bytes as text or tensors, and number of forms.
_BATCH_BYTES, _MOST_FORMS = 4 << 20, 16
_MOST_CACHED = 100

# Signature and names of labels.
_Kind = tuple[str, tuple[str, ...]]


@dataclass
class _Waiting:
    """Rows that wait for their batch: inputs and labels as they were read, a list of rows each."""

    numbers: list[int] = field(default_factory=list)
    inputs: dict[str, list[Any]] = field(default_factory=dict)
    labels: dict[str, list[Any]] = field(default_factory=dict)
    fields: dict[str, list[Any]] = field(default_factory=dict)
    size: int = 0

    def of_record(self, places: slice) -> _Waiting:
        """The rows at some places, such as those of one record."""
        inputs, labels, fields = (
            {name: rows[places] for name, rows in side.items()}
            for side in (self.inputs, self.labels, self.fields)
        )
        return _Waiting(numbers=self.numbers[places], inputs=inputs, labels=labels, fields=fields)


class LoggedRequests:
    """The requests of a file, for the signatures that are compared.

    Args:
        path: The file.
        source: The name of the source in messages.
        naming: The signatures, and notes on what is left out.
        fields: The fields of lines that are stored for each row.
        problems: Collects the problems of lines; other lines still count.

    Attributes:
        models: The models that requests name, a bounded number of them, with the number of requests.
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
            rows: Returns the most rows of a batch.

        Yields:
            Its requests, in the signatures' dtypes.
        """
        for kind in self._full_kinds(rows):
            for batch in self._decode(kind[0], self._waiting.pop(kind)):
                yield from split_batch(batch, rows)

    def _full_kinds(self, rows: Callable[[], int]) -> Iterator[_Kind]:
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
                f"{self._source}: {count} requests for signature {name!r}, which not both versions have"
            )

    def _add(self, number: int, name: str, parts: RecordParts) -> tuple[_Kind, _Waiting]:
        """Add the rows of one record to those that wait.

        Raises:
            Misfit: Its inputs differ in their number of rows.
        """
        signature = self._naming.signatures[name]
        inputs = {
            key: value if isinstance(value, list) else _read_tensor(key, signature.inputs[key], value)
            for key, value in self._inputs(name, parts.inputs)
        }
        rows = _count_rows(inputs)
        labels = _labels_of(parts.line.get(_LABELS), signature, rows) if _LABELS in parts.line else {}
        kind = (name, tuple(labels))
        waiting = self._waiting.setdefault(kind, _Waiting())
        waiting.numbers += [number] * rows
        # A few bytes can declare many equal values.
        waiting.size += sum(value.nbytes for value in inputs.values() if isinstance(value, np.ndarray))
        for key, value in inputs.items():
            waiting.inputs.setdefault(key, []).extend(value)
        for key, values in labels.items():
            waiting.labels.setdefault(key, []).extend(values)
        for key in self._fields:
            value = parts.line.get(key)
            spread = value if isinstance(value, list) and len(value) == rows else [value] * rows
            waiting.fields.setdefault(key, []).extend(spread)
        return kind, waiting

    def _count_model(self, line: Mapping[str, Any]) -> None:
        # In a JSON line, a field of that name may mean anything.
        if MODEL in line and self._file.unit == "record":
            name = line[MODEL] if line[MODEL] in self.models or len(self.models) < _MOST_FORMS else "…"
            self.models[name] += 1

    def _signature(self, named: str | None) -> str | None:
        if named not in self._signatures:
            _bound_cache(self._signatures)
            self._signatures[named] = self._naming.signature_of(named)
        return self._signatures[named]

    def _inputs(self, name: str, values: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """A request's value of each input; the names are cached for requests with the same names."""
        form = (name, *values)
        if form not in self._names:
            _bound_cache(self._names)
            self._names[form] = self._naming.inputs(name, {key: key for key in values})
        return [(input_name, values[key]) for input_name, key in self._names[form].items()]

    def _decode(self, name: str, waiting: _Waiting) -> Iterator[RequestBatch]:
        """The waiting rows as one batch, or as a batch for each form if their forms differ."""
        try:
            yield self._batch(name, waiting)
        except (Misfit, InvalidRequest) as err:
            places = _records(waiting.numbers)
            if len(places) == 1:
                self._problems.add_misfit(f"{self._source}: {self._file.unit} {waiting.numbers[0]}", err)
                return
            forms = dict[Any, list[RequestBatch]]()
            for place in places:
                for batch in self._decode(name, waiting.of_record(place)):
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


def _bound_cache(cache: dict[Any, Any]) -> None:
    """Empty a cache that is too large: lines may have any names."""
    if len(cache) > _MOST_CACHED:
        cache.clear()


def _records(numbers: Sequence[int]) -> list[slice]:
    """The places of the rows of each record."""
    starts = [place for place in range(len(numbers)) if not place or numbers[place] != numbers[place - 1]]
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], len(numbers)], strict=True)]


def _form(batch: RequestBatch) -> Any:
    sides = (batch.inputs, batch.labels)
    return tuple((name, value.shape[1:]) for side in sides for name, value in side.items())


def _read_tensor(name: str, spec: TensorSpec, value: Any) -> Any:
    return cast_values(f"input {name!r}", spec, value) if isinstance(value, bytes) else value


def _count_rows(inputs: Mapping[str, Any]) -> int:
    rows = None
    for name, value in inputs.items():
        listed = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0)
        rows = len(value) if rows is None and listed else rows
        if not listed or len(value) != rows or not rows:
            got = f"{len(value)} rows" if listed else "a value that is not a list"
            raise Misfit(f"input {name!r}: expected a value for each row of the request, got {got}")
    return rows or 0


def _labels_of(labels: Any, signature: Signature, rows: int) -> dict[str, list[Any]]:
    """Output name to a label for each row."""
    named = labels if isinstance(labels, dict) else dict.fromkeys([*signature.outputs][:1], labels)
    columns = {}
    for name, value in sorted(named.items()):
        if name not in signature.outputs:
            raise Misfit(f"labels: expected names of outputs, got {name!r}")
        values = value if isinstance(value, list) else [value]
        if len(values) != rows:
            raise Misfit(f"labels of {name!r}: expected one label for each of {rows} rows, got {len(values)}")
        columns[name] = values
    return columns


def _decode_rows(where: str, spec: TensorSpec, rows: list[Any]) -> np.ndarray:
    """Rows as an array of the signature's dtype and shape."""
    from_tensors = isinstance(rows[0], np.ndarray | np.generic | bytes)
    if spec.dtype == "string" and not from_tensors:
        return decode_tensor(where, spec, rows)
    array = _stack(where, rows) if from_tensors else cast_values(where, spec, rows)
    fits = array.ndim == len(spec.shape) and all(
        size is None or size == got for size, got in zip(spec.shape[1:], array.shape[1:], strict=True)
    )
    if not fits:
        raise Misfit(f"{where}: expected {spec}, got values of shape {list(array.shape)}")
    return array


def _stack(where: str, rows: list[Any]) -> np.ndarray:
    """Stack rows of tensors, which have the right dtype already."""
    if any(np.shape(row) != np.shape(rows[0]) for row in rows):
        raise Misfit(f"{where}: expected rows of the same shape, got different shapes")
    if not isinstance(rows[0], bytes) and rows[0].dtype != object:
        return np.stack(rows)
    array = np.empty((len(rows), *np.shape(rows[0])), object)
    for place, row in enumerate(rows):
        array[place] = row
    return array


def _label(where: str, spec: TensorSpec, rows: list[Any]) -> np.ndarray:
    """Labels as an array: texts as bytes, numbers in their own dtype."""
    if spec.dtype == "string":
        return decode_tensor(where, TensorSpec("string", (None,) * np.ndim(np.array(rows, object))), rows)
    try:
        array = np.asarray(rows)
    except OverflowError as err:  # an integer that is too large for NumPy, next to a float
        raise Misfit(f"{where}: expected numbers, got {rows!r:.40}") from err
    except ValueError as err:
        raise Misfit(f"{where}: expected values of the same shape, got lists of different lengths") from err
    if array.dtype.kind not in "biuf":
        raise Misfit(f"{where}: expected numbers, got {rows[0]!r:.40}")
    return array
