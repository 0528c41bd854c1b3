"""Does the SavedModel answer as a witness from outside does?

Export and checkpoint are compared by the same definition: what is wrong in it, such as a constant of
its preprocessing, is wrong on both sides. An old model, or what it once answered, knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from redraw.definition import OutsideReference
from redraw.errors import CheckpointError, InvalidDefinition, InvalidName, StorageError
from redraw.inspect.answers.naming import Exchange, Misfit
from redraw.records import Check
from redraw.serving.errors import ServingFailure
from redraw.serving.requests import take_rows
from redraw.validate.checks.answers.differing_rows import DifferingRows, largest_gap
from redraw.validate.checks.behaviour.repeatable import declared_kinds
from redraw.validate.outcome import CannotRun, conclude
from redraw.validate.subject.outside.opening import Opened, open_reference

if TYPE_CHECKING:
    from redraw.validate.subject.subject import Subject

_NAME = "reference-answers"
# Of refused batches, which are asked again row by row; a log that does not fit has no end of them.
_MOST_ASKED_ALONE = 20
_NONE = "the definition names no outside reference"
_ADVICE = (
    "Compare what serve does before and after the network with what made the reference: constants, order of"
    f" inputs, names of outputs. If the difference is wanted, say why: --waive {_NAME}=REASON."
)


def check_reference_answers(subject: Subject) -> Check:
    """Compare the export's answers with those of an outside reference: the check `reference-answers`."""
    reference = subject.outside
    if not reference.uri:
        raise CannotRun(_NONE, "Name one: reference in the definition, or --reference URI.", excused=_NONE)
    tolerance = subject.definition.tolerance if reference.tolerance is None else reference.tolerance
    skipped = {name for name, kinds in declared_kinds(subject).items() if kinds}
    found, what, notes = dict[tuple[str, str], DifferingRows](), "the reference", list[str]()
    problems = list[str]()
    try:
        with open_reference(subject, reference, skipped) as opened:
            what = opened.what
            notes = [f"signature {name!r} answers differently each time" for name in sorted(skipped)]
            _compare(subject, opened, found, tolerance, reference)
            notes += opened.naming.notes
            problems += opened.problems.listed()
    except (CheckpointError, StorageError, ServingFailure, InvalidDefinition, InvalidName, Misfit) as err:
        problems.append(str(err))
    problems += _differences(found)
    rows = sum(_rows_by_signature(found).values())
    if not rows and not problems:
        problems.append(f"nothing could be compared: {'; '.join(notes) or 'it holds no request'}")
    return conclude(
        _NAME,
        looked_at=f"the answers to {rows} rows, and those of {what} {reference.uri}",
        expected=f"the same answers, floats within {tolerance:g}",
        found=_summarize(found, notes),
        problems=problems,
        advice=_ADVICE,
    )


def _compare(
    subject: Subject,
    opened: Opened,
    found: dict[tuple[str, str], DifferingRows],
    tolerance: float,
    reference: OutsideReference,
) -> None:
    """Ask the export what the reference was asked, batch by batch."""
    for exchange in _first_rows(opened.exchanges, reference.rows):
        for piece, answers in _asked(subject, exchange, opened):
            for output, want in piece.answers.items():
                rows = found.setdefault((piece.signature, output), DifferingRows())
                rows.add(piece.rows, want, answers[output], tolerance)


def _first_rows(exchanges: Iterator[Exchange], most: int | None) -> Iterator[Exchange]:
    left = most
    for exchange in exchanges:
        yield exchange if left is None else _part(exchange, 0, min(left, len(exchange.rows)))
        left = None if left is None else left - len(exchange.rows)
        if left is not None and left <= 0:
            return


def _asked(
    subject: Subject, exchange: Exchange, opened: Opened
) -> Iterator[tuple[Exchange, Mapping[str, np.ndarray]]]:
    """The export's answers; if it refuses them together, row by row, so that each is named."""
    try:
        yield exchange, subject.served.answer(exchange.signature, exchange.inputs)
    except ServingFailure as err:
        if len(exchange.rows) == 1 or opened.problems.count > _MOST_ASKED_ALONE:
            opened.problems.add(f"{exchange.rows[0]}: the export refuses it: {err}")
            return
        for row in range(len(exchange.rows)):
            yield from _asked(subject, _part(exchange, row, row + 1), opened)


def _part(exchange: Exchange, start: int, stop: int) -> Exchange:
    rows = range(start, stop)
    return Exchange(
        rows=exchange.rows[start:stop],
        signature=exchange.signature,
        inputs=take_rows(exchange.inputs, rows),
        answers=take_rows(exchange.answers, rows),
    )


def _differences(found: Mapping[tuple[str, str], DifferingRows]) -> Iterator[str]:
    for (signature, output), rows in sorted(found.items()):
        if what := rows.described():
            yield f"signature {signature!r}, output {output!r}: {what}"


def _rows_by_signature(found: Mapping[tuple[str, str], DifferingRows]) -> dict[str, int]:
    counts = dict[str, int]()
    for (signature, _), rows in found.items():
        counts[signature] = max(counts.get(signature, 0), rows.rows)
    return counts


def _summarize(found: Mapping[tuple[str, str], DifferingRows], notes: list[str]) -> str:
    compared = ", ".join(
        f"{count} rows of {name!r}" for name, count in sorted(_rows_by_signature(found).items())
    )
    dtypes = [
        f"output {output!r} is {rows.dtypes}" for (_, output), rows in sorted(found.items()) if rows.dtypes
    ]
    return "; ".join(
        [f"the same for {compared}; floats differ by {largest_gap(found):.3g} at most", *dtypes, *notes]
    )
