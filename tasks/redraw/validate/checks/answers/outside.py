"""Does the SavedModel answer like an outside reference?

Export and checkpoint share one definition, so an error in it, such as a wrong constant of the
preprocessing, is on both sides. An old model, or its recorded answers, does not share the definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from redraw.definition import OutsideReference
from redraw.errors import CheckpointError, InvalidDefinition, InvalidName, StorageError
from redraw.inspect.answers.comparing import compare_values, misfit_of
from redraw.inspect.answers.naming import Exchange, Misfit
from redraw.records import Check
from redraw.serving.errors import ServingFailure
from redraw.serving.requests import take_rows
from redraw.validate.checks.behaviour.repeatable import declared_kinds
from redraw.validate.outcome import CannotRun, conclude
from redraw.validate.subject.outside.opening import Opened, open_reference
from redraw.validate.subject.subject import Subject

_NAME = "reference-answers"
# Refused batches that are asked again row by row; a log that does not fit would have too many.
_MOST_ASKED_ALONE = 20
_NONE = "the definition names no outside reference"
_ADVICE = (
    "Compare what serve does before and after the network with the code that made the reference:"
    " constants, order of inputs, names of outputs. If the difference is intended, waive the check:"
    f" --waive {_NAME}=REASON."
)
_MOST_NAMED = 8
_SHOWN_TEXT = 60


def check_reference_answers(subject: Subject) -> Check:
    """Compare the export's answers with those of an outside reference: the check `reference-answers`."""
    reference = subject.outside
    if not reference.uri:
        raise CannotRun(_NONE, "Set reference in the definition, or add --reference URI.", excused=_NONE)
    tolerance = subject.definition.tolerance if reference.tolerance is None else reference.tolerance
    skipped = {name for name, kinds in declared_kinds(subject).items() if kinds}
    results, what, notes = dict[tuple[str, str], DifferingRows](), "the reference", list[str]()
    problems = list[str]()
    try:
        with open_reference(subject, reference, skipped) as opened:
            what = opened.what
            notes = [
                f"signature {name!r} is not compared: its answers vary from request to request"
                for name in sorted(skipped)
            ]
            _compare(subject, opened, results, tolerance, reference)
            notes += opened.naming.notes
            problems += opened.problems.listed()
    except (CheckpointError, StorageError, ServingFailure, InvalidDefinition, InvalidName, Misfit) as err:
        problems.append(str(err))
    problems += _differences(results)
    rows = sum(_rows_by_signature(results).values())
    if not rows and not problems:
        problems.append(f"nothing could be compared: {'; '.join(notes) or 'the reference has no requests'}")
    return conclude(
        _NAME,
        looked_at=f"the answers to {rows} rows, and those of {what} {reference.uri}",
        expected=f"the same answers, floats within {tolerance:g}",
        found=_summarize(results, notes),
        problems=problems,
        advice=_ADVICE,
    )


def _compare(
    subject: Subject,
    opened: Opened,
    results: dict[tuple[str, str], DifferingRows],
    tolerance: float,
    reference: OutsideReference,
) -> None:
    """Send the reference's requests to the export, batch by batch."""
    for exchange in _first_rows(opened.exchanges, reference.rows):
        for piece, answers in _ask_export(subject, exchange, opened):
            for output, expected in piece.answers.items():
                rows = results.setdefault((piece.signature, output), DifferingRows())
                rows.add(piece.rows, expected, answers[output], tolerance)


def _first_rows(exchanges: Iterator[Exchange], most: int | None) -> Iterator[Exchange]:
    remaining = most
    for exchange in exchanges:
        yield exchange if remaining is None else _part(exchange, 0, min(remaining, len(exchange.rows)))
        remaining = None if remaining is None else remaining - len(exchange.rows)
        if remaining is not None and remaining <= 0:
            return


def _ask_export(
    subject: Subject, exchange: Exchange, opened: Opened
) -> Iterator[tuple[Exchange, Mapping[str, np.ndarray]]]:
    """The export's answers; if it refuses a batch, it is asked row by row, to name the refused rows."""
    try:
        yield exchange, subject.served.answer(exchange.signature, exchange.inputs)
    except ServingFailure as err:
        if len(exchange.rows) == 1 or opened.problems.count > _MOST_ASKED_ALONE:
            opened.problems.add(f"{exchange.rows[0]}: the export refuses this row: {err}")
            return
        for row in range(len(exchange.rows)):
            yield from _ask_export(subject, _part(exchange, row, row + 1), opened)


def _part(exchange: Exchange, start: int, stop: int) -> Exchange:
    rows = range(start, stop)
    return Exchange(
        rows=exchange.rows[start:stop],
        signature=exchange.signature,
        inputs=take_rows(exchange.inputs, rows),
        answers=take_rows(exchange.answers, rows),
    )


def _differences(results: Mapping[tuple[str, str], DifferingRows]) -> Iterator[str]:
    for (signature, output), rows in sorted(results.items()):
        if what := rows.described():
            yield f"signature {signature!r}, output {output!r}: {what}"


def _rows_by_signature(results: Mapping[tuple[str, str], DifferingRows]) -> dict[str, int]:
    counts = dict[str, int]()
    for (signature, _), rows in results.items():
        counts[signature] = max(counts.get(signature, 0), rows.rows)
    return counts


def _summarize(results: Mapping[tuple[str, str], DifferingRows], notes: list[str]) -> str:
    compared = ", ".join(
        f"{count} rows of {name!r}" for name, count in sorted(_rows_by_signature(results).items())
    )
    dtypes = [
        f"output {output!r} is {rows.dtypes}" for (_, output), rows in sorted(results.items()) if rows.dtypes
    ]
    return "; ".join(
        [f"the same for {compared}; floats differ by {largest_gap(results):.3g} at most", *dtypes, *notes]
    )


@dataclass
class DifferingRows:
    """The result of comparing one output.

    Attributes:
        rows: How many rows were compared.
        differing: How many of them differ.
        named: The names of the first rows that differ.
        worst: The row with the largest difference, in words.
        gap: The largest difference of floats over all rows; NaN against a number is infinite.
        misfit: Why answers cannot be compared, such as their shapes; empty if all can.
        dtypes: The dtypes of reference and export, if they differ.
    """

    rows: int = 0
    differing: int = 0
    named: list[str] = field(default_factory=list)
    worst: str = ""
    gap: float = 0.0
    misfit: str = ""
    dtypes: str = ""
    _worst_gap: float = -1.0

    def add(self, rows: Sequence[str], expected: np.ndarray, actual: np.ndarray, tolerance: float) -> None:
        """Compare the answers to more rows.

        Args:
            rows: The names of the rows.
            expected: The reference's answers.
            actual: The export's answers.
            tolerance: How much floats may differ, absolute and relative.
        """
        self.rows += len(rows)
        problem = misfit_of(expected, actual, len(rows), tolerance)
        if problem is not None:
            self.differing += len(rows) if problem else 0
            self.misfit = self.misfit or (problem and f"{problem} ({rows[0]})")
            return
        if expected.dtype != actual.dtype and expected.dtype.kind not in "OSU":
            self.dtypes = f"{expected.dtype.name} in the reference, {actual.dtype.name} in the export"
        gaps, differs = compare_values(expected, actual, tolerance)
        flat_gaps, flat = gaps.reshape(len(rows), -1), differs.reshape(len(rows), -1)
        self.gap = max(self.gap, float(np.max(flat_gaps, initial=0.0)))
        places = np.flatnonzero(flat.any(axis=1))
        self.differing += len(places)
        self.named += [rows[place] for place in places[: _MOST_NAMED - len(self.named)]]
        if len(places):
            self._keep_worst(rows, flat_gaps * flat, expected, actual)

    def _keep_worst(
        self, rows: Sequence[str], gaps: np.ndarray, expected: np.ndarray, actual: np.ndarray
    ) -> None:
        row, column = map(int, np.unravel_index(int(np.argmax(gaps)), gaps.shape))
        if gaps[row, column] > self._worst_gap:
            self._worst_gap = float(gaps[row, column])
            values = [array.reshape(len(rows), -1)[row, column] for array in (actual, expected)]
            self.worst = f"{rows[row]}: {_format(values[0])} instead of {_format(values[1])}"

    def described(self) -> str:
        """The difference in words; empty if there is none."""
        if not self.differing:
            return ""
        if self.misfit:
            return f"{self.differing} of {self.rows} rows cannot be compared: {self.misfit}"
        more = ", …" if self.differing > len(self.named) else ""
        by = f" by up to {self._worst_gap:.3g}" if 0 < self._worst_gap < np.inf else ""
        return (
            f"{self.differing} of {self.rows} rows differ{by} ({self.worst}): {', '.join(self.named)}{more}"
        )


def _format(value: object) -> str:
    if isinstance(value, bytes):
        return repr(value.decode("utf-8", "replace"))[:_SHOWN_TEXT]
    return f"{value:.6g}" if isinstance(value, np.floating | float) else str(value)[:_SHOWN_TEXT]


def largest_gap(results: Mapping[tuple[str, str], DifferingRows]) -> float:
    """The largest difference of floats in all outputs."""
    return max((rows.gap for rows in results.values()), default=0.0)
