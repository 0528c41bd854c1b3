"""Read recorded requests with their answers: lines of JSON, or TFRecords of `PredictionLog`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.errors import InvalidRequest
from redraw.inspect.answers.naming import Exchange, Misfit, Naming
from redraw.inspect.answers.record_parts import Named, Problems, RecordedFile, cast_values, read_values

# Limits of a batch of several records, and the number of forms that may wait for more records.
_BATCH_ROWS = 256
_BATCH_BYTES = 32 << 20
_MOST_FORMS = 16


def read_exchanges(path: Path, naming: Naming, problems: Problems) -> Iterator[Exchange]:
    """Read a file of recorded requests, one line or record at a time.

    Args:
        path: JSON lines, or TFRecords of `PredictionLog`.
        naming: Which names of the file and the definition correspond.
        problems: Collects the problems of lines; other lines still count.

    Yields:
        Each record for a signature of the definition, in the signature's dtypes.
    """
    file, others, number = RecordedFile(path, answers=True), dict[str, int](), 0
    try:
        for number, record in file:
            where = f"{file.unit} {number}"
            try:
                recorded_name, inputs, outputs, _ = file.parse(record)
                signature = naming.signature_of(recorded_name)
                if signature is None:
                    other = str(recorded_name)
                    other = other if other in others or len(others) < _MOST_FORMS else "…"
                    others[other] = others.get(other, 0) + 1
                    continue
                yield _exchange(where, signature, naming, inputs, outputs)
            except (Misfit, MalformedError, InvalidRequest) as err:
                problems.add_misfit(where, err)
    except MalformedError as err:
        problems.add(file.cut_off(number, err))
    if not number and not problems.count:
        problems.add(f"{path.name}: expected requests with their answers, got an empty file")
    for name, count in sorted(others.items()):
        naming.note(f"{count} records of signature {name!r} are left out, because the definition lacks it")


def _exchange(where: str, name: str, naming: Naming, inputs: Named, outputs: Named) -> Exchange:
    signature = naming.signatures[name]
    features = {
        key: cast_values(f"input {key!r}", signature.inputs[key], value)
        for key, value in naming.inputs(name, inputs).items()
    }
    answers = {
        key: read_values(f"output {key!r}", signature.outputs[key], value)
        for key, value in naming.outputs(name, outputs).items()
    }
    rows = next(iter(features.values())).shape[:1]
    for kind, tensors in (("input", features), ("output", answers)):
        for key, values in tensors.items():
            if not rows or values.shape[:1] != rows:
                raise Misfit(
                    f"{kind} {key!r}: expected as many rows as the first input, {list(rows)}, got shape"
                    f" {list(values.shape)}"
                )
    labels = (where,) if rows == (1,) else tuple(f"{where} row {row}" for row in range(rows[0]))
    return Exchange(rows=labels, signature=name, inputs=features, answers=answers)


def merge_exchanges(exchanges: Iterator[Exchange]) -> Iterator[Exchange]:
    """Join exchanges of the same form into batches, up to a number of rows or bytes."""
    waiting: dict[Any, list[Exchange]] = {}
    for exchange in exchanges:
        form = _form(exchange)
        batch = waiting.setdefault(form, [])
        batch.append(exchange)
        if (
            sum(len(part.rows) for part in batch) >= _BATCH_ROWS
            or len(batch) * _size(exchange) > _BATCH_BYTES
        ):
            yield _join(waiting.pop(form))
        elif len(waiting) > _MOST_FORMS:
            yield _join(waiting.pop(next(iter(waiting))))
    yield from map(_join, waiting.values())


def _size(exchange: Exchange) -> int:
    return sum(value.nbytes for side in (exchange.inputs, exchange.answers) for value in side.values())


def _form(exchange: Exchange) -> Any:
    sides = (exchange.inputs, exchange.answers)
    return exchange.signature, tuple(
        (name, value.dtype.str, value.shape[1:]) for side in sides for name, value in sorted(side.items())
    )


def _join(exchanges: Sequence[Exchange]) -> Exchange:
    first = exchanges[0]
    return Exchange(
        rows=tuple(row for part in exchanges for row in part.rows),
        signature=first.signature,
        inputs={name: np.concatenate([part.inputs[name] for part in exchanges]) for name in first.inputs},
        answers={name: np.concatenate([part.answers[name] for part in exchanges]) for name in first.answers},
    )
