"""Recorded requests with their answers, read as they come: lines of JSON, or records of `PredictionLog`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.errors import InvalidRequest
from redraw.inspect.answers.naming import Exchange, Misfit, Naming
from redraw.inspect.answers.record_parts import Named, Problems, RecordedFile, cast_values, read_values

# Of a request that several records are put together to; and how many forms may wait for more of theirs.
_BATCH_ROWS = 256
_BATCH_BYTES = 32 << 20
_MOST_FORMS = 16


def read_exchanges(path: Path, naming: Naming, problems: Problems) -> Iterator[Exchange]:
    """Read a file of recorded requests, one line or record at a time.

    Args:
        path: JSON lines, or TFRecords of `PredictionLog`.
        naming: What belongs to what.
        problems: Takes what is wrong: the other lines count all the same.

    Yields:
        Each record that is of a signature of the definition, in the dtypes of that.
    """
    file, others, found = RecordedFile(path, answers=True), dict[str, int](), 0
    try:
        for found, record in file:
            where = f"{file.unit} {found}"
            try:
                theirs, inputs, outputs, _ = file.parse(record)
                ours = naming.signature_of(theirs)
                if ours is None:
                    other = str(theirs) if str(theirs) in others or len(others) < _MOST_FORMS else "…"
                    others[other] = others.get(other, 0) + 1
                    continue
                yield _exchange(where, ours, naming, inputs, outputs)
            except (Misfit, MalformedError, InvalidRequest) as err:
                problems.add_misfit(where, err)
    except MalformedError as err:
        problems.add(file.cut_off(found, err))
    if not found and not problems.count:
        problems.add(f"{path.name}: expected requests with their answers, got an empty file")
    for name, count in sorted(others.items()):
        naming.note(f"{count} records of signature {name!r} are left out, for the definition has none")


def _exchange(where: str, ours: str, naming: Naming, inputs: Named, outputs: Named) -> Exchange:
    signature = naming.signatures[ours]
    given = {
        name: cast_values(f"input {name!r}", signature.inputs[name], value)
        for name, value in naming.inputs(ours, inputs).items()
    }
    answers = {
        name: read_values(f"output {name!r}", signature.outputs[name], value)
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
