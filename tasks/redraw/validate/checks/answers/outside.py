"""Does the SavedModel answer as a witness from outside does?

Export and checkpoint are compared by the same definition: what is wrong in it, such as a constant of
its preprocessing, is wrong on both sides. An old model, or what it once answered, knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
_MOST_NAMED = 8
_SHOWN_TEXT = 60


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


@dataclass
class DifferingRows:
    """What was found of one output.

    Attributes:
        rows: How many were compared.
        differing: How many of them differ.
        named: The first of these.
        worst: What the one with the largest difference has, in words.
        gap: The largest difference of floats, of rows that differ and that do not; NaN against a number
            is infinite.
        misfit: What cannot be compared, such as shapes; empty if all can.
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

    def add(self, rows: Sequence[str], want: np.ndarray, got: np.ndarray, tolerance: float) -> None:
        """Compare the answers to some more rows.

        Args:
            rows: What they are called.
            want: The reference's answers.
            got: The export's.
            tolerance: How much floats may differ, absolute and relative.
        """
        self.rows += len(rows)
        problem = misfit_of(want, got, len(rows), tolerance)
        if problem is not None:
            self.differing += len(rows) if problem else 0
            self.misfit = self.misfit or (problem and f"{problem} ({rows[0]})")
            return
        if want.dtype != got.dtype and want.dtype.kind not in "OSU":
            self.dtypes = f"{want.dtype.name} in the reference, {got.dtype.name} in the export"
        gaps, differs = compare_values(want, got, tolerance)
        flat_gaps, flat = gaps.reshape(len(rows), -1), differs.reshape(len(rows), -1)
        self.gap = max(self.gap, float(np.max(flat_gaps, initial=0.0)))
        places = np.flatnonzero(flat.any(axis=1))
        self.differing += len(places)
        self.named += [rows[place] for place in places[: _MOST_NAMED - len(self.named)]]
        if len(places):
            self._keep_worst(rows, flat_gaps * flat, want, got)

    def _keep_worst(self, rows: Sequence[str], gaps: np.ndarray, want: np.ndarray, got: np.ndarray) -> None:
        row, column = map(int, np.unravel_index(int(np.argmax(gaps)), gaps.shape))
        if gaps[row, column] > self._worst_gap:
            self._worst_gap = float(gaps[row, column])
            values = [array.reshape(len(rows), -1)[row, column] for array in (got, want)]
            self.worst = f"{rows[row]}: {_shown(values[0])} instead of {_shown(values[1])}"

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


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return repr(value.decode("utf-8", "replace"))[:_SHOWN_TEXT]
    return f"{value:.6g}" if isinstance(value, np.floating | float) else str(value)[:_SHOWN_TEXT]


def largest_gap(found: Mapping[tuple[str, str], DifferingRows]) -> float:
    """The largest difference of floats in all outputs."""
    return max((one.gap for one in found.values()), default=0.0)
