"""Which rows of an output differ from a reference's, and by how much; a few of them are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from redraw.inspect.answers.comparing import compare_values, misfit_of

_MOST_NAMED = 8
_SHOWN_TEXT = 60


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
