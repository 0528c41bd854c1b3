"""Recorded requests with their answers, read as they come: lines of JSON, or records of `PredictionLog`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import decode_text
from redraw.checkpoint.bundle.messages import PredictionLog, parse_message
from redraw.checkpoint.formats.tf_record import is_tf_record, read_records
from redraw.errors import InvalidRequest, one_line
from redraw.records import TensorSpec
from redraw.serving.tensor_proto import read_tensor_proto
from redraw.serving.values import decode_tensor
from redraw.storage.files import open_regular
from redraw.validate.subject.outside.naming import UNNAMED, Exchange, Misfit, Naming

__all__ = ["Problems", "merge_exchanges", "read_exchanges"]

# Of one line, of one record, and of one tensor in it.
_LONGEST = 64 << 20
_MOST_ELEMENTS = 16 << 20
_MOST_PROBLEMS = 5
_LONGEST_TEXT = 300
# Of a request that several records are put together to; and how many forms may wait for more of theirs.
_BATCH_ROWS = 256
_BATCH_BYTES = 32 << 20
_MOST_FORMS = 16
_FLOATS = ("float", "half", "bfloat")

# Input or output name to what a record holds of it: JSON values, or a serialized tensor.
_Named = Mapping[str, Any]


class Problems:
    """What is wrong with lines, the first few in words, and how many there are."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.count = 0

    def add(self, text: str) -> None:
        """Count one, and keep its words if they are among the first."""
        self.count += 1
        text = one_line(text, _LONGEST_TEXT)
        if len(self.texts) < _MOST_PROBLEMS:
            self.texts.append(text)

    def listed(self) -> list[str]:
        """The first few, and how many more there are."""
        more = self.count - len(self.texts)
        return [*self.texts, f"{more} more lines like these"] if more else self.texts


def read_exchanges(path: Path, naming: Naming, problems: Problems) -> Iterator[Exchange]:
    """Read a file of recorded requests, one line or record at a time.

    Args:
        path: JSON lines, or TFRecords of `PredictionLog`.
        naming: What belongs to what.
        problems: Takes what is wrong: the other lines count all the same.

    Yields:
        Each record that is of a signature of the definition, in the dtypes of that.
    """
    is_log, others = is_tf_record(path), dict[str, int]()
    records = read_records(path, refuse_longer=_LONGEST) if is_log else _read_lines(path)
    found = 0
    try:
        for found, record in enumerate(records, start=1):
            where = f"{'record' if is_log else 'line'} {found}"
            try:
                theirs, inputs, outputs = (_log_parts if is_log else _json_parts)(record)
                ours = naming.signature_of(theirs)
                if ours is None:
                    others[str(theirs)] = others.get(str(theirs), 0) + 1
                    continue
                yield _exchange(where, ours, naming, inputs, outputs)
            except (Misfit, MalformedError, InvalidRequest) as err:
                problems.add(f"{where}: {str(err).removesuffix(' Correct the request.').rstrip('.')}")
    except MalformedError as err:
        problems.add(f"after {found} whole records: {err}" if is_log else f"line {found + 1}: {err}")
    if not found and not problems.count:
        problems.add(f"{path.name}: expected requests with their answers, got an empty file")
    for name, count in sorted(others.items()):
        naming.note(f"{count} records of signature {name!r} are left out, for the definition has none")


def _read_lines(path: Path) -> Iterator[bytes]:
    with open_regular(path) as file:
        while line := file.readline(_LONGEST + 1):
            if len(line) > _LONGEST:
                raise MalformedError(f"a line of at most {_LONGEST} bytes", "a longer one")
            if line.strip():
                yield line


def _log_parts(record: bytes) -> tuple[str | None, _Named, _Named]:
    """The signature that a record names, its inputs and its outputs."""
    parsed = parse_message(PredictionLog, record)
    if not parsed.HasField("predict_log"):
        raise Misfit("expected a predict_log, got a record of another kind")
    log = parsed.predict_log
    name = decode_text(log.request.model_spec.signature_name) or "serving_default"
    inputs, outputs = (
        {decode_text(entry.key): entry.value for entry in entries}
        for entries in (log.request.inputs, log.response.outputs)
    )
    if not outputs:
        raise Misfit("expected the request with its answer, got no answer")
    return name, inputs, outputs


def _json_parts(line: bytes) -> tuple[str | None, _Named, _Named]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as err:
        raise Misfit(f"expected a JSON object, got {type(err).__name__}: {str(err)[:80]}") from err
    request, response = (
        record.get(side, record) if isinstance(record, dict) else None for side in ("request", "response")
    )
    if not isinstance(request, dict) or not isinstance(response, dict):
        raise Misfit("expected a JSON object with a request and its answer, got another value")
    inputs = _columns(request, "inputs", "instances")
    outputs = _columns(response, "outputs", "predictions")
    name = request.get("signature_name", request.get("signature"))
    if name is not None and not isinstance(name, str):
        raise Misfit(f"signature_name: expected a text, got {name!r:.40}")
    return name or None, inputs, outputs


def _columns(record: Mapping[str, Any], by_column: str, by_row: str) -> _Named:
    """The tensors of one side by name: TensorFlow Serving's REST interface has them by column or by row."""
    if by_column in record:
        value = record[by_column]
        return value if _is_named(value) else {UNNAMED: value}
    rows = record.get(by_row)
    if not isinstance(rows, list):
        raise Misfit(f"expected {by_column} or {by_row}, got {', '.join(sorted(record)) or 'nothing'}")
    if not rows or not _is_named(rows[0]):
        return {UNNAMED: rows}
    names = rows[0].keys()
    if not all(_is_named(row) and row.keys() == names for row in rows):
        raise Misfit(f"expected the same names in each of its {by_row}, got others")
    return {name: [row[name] for row in rows] for name in names}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and set(value) != {"b64"}


def _exchange(where: str, ours: str, naming: Naming, inputs: _Named, outputs: _Named) -> Exchange:
    signature = naming.signatures[ours]
    given = {
        name: _cast(f"input {name!r}", signature.inputs[name], value)
        for name, value in naming.inputs(ours, inputs).items()
    }
    answers = {
        name: _array(f"output {name!r}", signature.outputs[name], value)
        for name, value in naming.outputs(ours, outputs).items()
    }
    rows = next(iter(given.values())).shape[:1]
    for kind, tensors in (("input", given), ("output", answers)):
        for name, values in tensors.items():
            if not rows or values.shape[:1] != rows:
                raise Misfit(
                    f"{kind} {name!r}: expected a row for each of the first input's {list(rows)}, got shape"
                    f" {list(values.shape)}"
                )
    labels = (where,) if rows == (1,) else tuple(f"{where} row {row}" for row in range(rows[0]))
    return Exchange(rows=labels, signature=ours, inputs=given, answers=answers)


def _array(where: str, spec: TensorSpec, value: Any) -> np.ndarray:
    """What a record holds, in the dtype that it has itself; of JSON, strings if the signature has strings."""
    if isinstance(value, bytes):
        try:
            return read_tensor_proto(value, _MOST_ELEMENTS)
        except MalformedError as err:
            raise Misfit(f"{where}: {err}") from err
    with suppress(ValueError, RecursionError, OverflowError):
        if (array := np.asarray(value)).dtype.kind in "biuf":
            return array
    return decode_tensor(where, spec, value)


def _cast(where: str, spec: TensorSpec, value: Any) -> np.ndarray:
    """The same in the dtype of the signature, if that holds every value."""
    array = _array(where, spec, value)
    if spec.dtype == "string" or array.dtype.kind in "OSU":
        if (spec.dtype == "string") != (array.dtype.kind in "OSU"):
            raise Misfit(f"{where}: expected {spec.dtype}, got {array.dtype.name}")
        return array
    with np.errstate(invalid="ignore", over="ignore"):
        cast = array.astype(numpy_dtype(spec.dtype))
    if not spec.dtype.startswith(_FLOATS) and not np.array_equal(cast, array):
        raise Misfit(f"{where}: expected {spec.dtype}, got {array.dtype.name} values that it cannot hold")
    return cast


def merge_exchanges(exchanges: Iterator[Exchange]) -> Iterator[Exchange]:
    """Put exchanges of the same form together, up to some rows or bytes: a server is asked in batches."""
    waiting: dict[Any, list[Exchange]] = {}
    for exchange in exchanges:
        form = _form(exchange)
        batch = waiting.setdefault(form, [])
        batch.append(exchange)
        if sum(len(one.rows) for one in batch) >= _BATCH_ROWS or len(batch) * _size(exchange) > _BATCH_BYTES:
            yield _joined(waiting.pop(form))
        elif len(waiting) > _MOST_FORMS:
            yield _joined(waiting.pop(next(iter(waiting))))
    yield from map(_joined, waiting.values())


def _size(exchange: Exchange) -> int:
    return sum(value.nbytes for side in (exchange.inputs, exchange.answers) for value in side.values())


def _form(exchange: Exchange) -> Any:
    sides = (exchange.inputs, exchange.answers)
    return exchange.signature, tuple(
        (name, value.dtype.str, value.shape[1:]) for side in sides for name, value in sorted(side.items())
    )


def _joined(exchanges: Sequence[Exchange]) -> Exchange:
    first = exchanges[0]
    return Exchange(
        rows=tuple(row for one in exchanges for row in one.rows),
        signature=first.signature,
        inputs={name: np.concatenate([one.inputs[name] for one in exchanges]) for name in first.inputs},
        answers={name: np.concatenate([one.answers[name] for one in exchanges]) for name in first.answers},
    )
