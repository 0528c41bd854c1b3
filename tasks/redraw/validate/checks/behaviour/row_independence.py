"""Does a row get the same answer regardless of the other rows in its batch?

A server puts the requests of many clients into one batch. Batch normalisation in training mode, and
any other sum or extreme over the batch, would mix them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from redraw.inspect.answers.comparing import difference
from redraw.records import Check
from redraw.serving.errors import ServingFailure
from redraw.serving.requests import Request, count_rows, take_rows
from redraw.validate.checks.behaviour.repeatable import declared_kinds
from redraw.validate.outcome import conclude
from redraw.validate.subject.subject import Subject

_SIZES = (2, 3, 32)
_MOST_ROWS = 12  # golden rows asked one by one
_MOST_BYTES = 32 << 20  # of one request
_SEED = 4


def check_row_independence(subject: Subject) -> Check:
    """Compare each golden row's answer alone with those in batches: the check `row-independence`."""
    problems, notes = list[str](), list[str]()
    declared = declared_kinds(subject)
    for name, request in subject.golden_requests.items():
        rows = count_rows(request)
        if declared.get(name):
            notes.append(f"{name!r} is not compared, because its answers vary: {', '.join(declared[name])}")
        elif rows is None:
            notes.append(f"{name!r} is not compared, because its inputs have no common batch dimension")
        else:
            problems += _examine(subject, name, take_rows(request, range(min(rows, _MOST_ROWS))))
            notes.append(
                f"{name!r}: each of {min(rows, _MOST_ROWS)} rows gets the same answer alone and in batches"
            )
    return conclude(
        "row-independence",
        looked_at=f"golden rows alone and in batches of {', '.join(map(str, _SIZES))}, shuffled",
        expected="a row's answer does not depend on the other rows, or on their number",
        found="; ".join(notes),
        problems=problems,
        advice="Build the network for Mode.SERVE with training=False in every layer (batch normalisation"
        " above all), and compute no sum, mean or extreme over the batch in serve.",
    )


def _examine(subject: Subject, name: str, request: Request) -> list[str]:
    rows = count_rows(request) or 0
    try:
        alone = [subject.served.answer(name, take_rows(request, [row])) for row in range(rows)]
        for chosen in _batches(request, rows):
            answer = subject.served.answer(name, take_rows(request, chosen))
            if differences := list(_differences(alone, chosen, answer, subject.definition.tolerance)):
                return [f"signature {name!r}, in a batch of {len(chosen)}, {what}" for what in differences]
    except ServingFailure as err:
        return [f"signature {name!r}: {err}"]
    return []


def _batches(request: Request, rows: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(_SEED)
    row_bytes = sum(value.nbytes for value in request.values()) // rows
    for size in _SIZES:
        if size * row_bytes <= _MOST_BYTES or size == min(_SIZES):
            # Every row is used once before any is repeated.
            yield random.permutation(np.resize(random.permutation(rows), size))


def _differences(
    alone: list[dict[str, np.ndarray]],
    chosen: np.ndarray,
    answer: Mapping[str, np.ndarray],
    tolerance: float,
) -> Iterator[str]:
    for output, values in answer.items():
        if values.ndim == 0 or len(values) != len(chosen):
            yield f"output {output!r} has shape {list(values.shape)}: expected one row for each request row"
            continue
        for place, row in enumerate(chosen):
            expected, actual = _common(alone[row][output], values[place : place + 1])
            if what := difference(expected, actual, tolerance):
                yield f"output {output!r}, golden row {row}: {what}"
                break


def _common(row: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two rows, cut to the shape that they share: a batch is padded to its longest row."""
    if row.ndim != other.ndim:
        return row, other
    shared = tuple(slice(min(sizes)) for sizes in zip(row.shape, other.shape, strict=True))
    return row[shared], other[shared]
