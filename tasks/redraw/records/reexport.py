"""What became of a batch of checkpoints: the record of `reexport`, one row a checkpoint.

As `redraw.records`, this is JSON, and needs only the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from redraw.names import ModelName
from redraw.records import Record
from redraw.records.events import ModelEvent, events_field
from redraw.records.failure import wording_of
from redraw.records.forms import Count, Digest, Seconds, Time, Version
from redraw.uri import Uri

_MOST_REASONS = 5

Outcome = Literal["exported", "already there", "failed"]


@dataclass(frozen=True, kw_only=True)
class ReexportedCheckpoint:
    """One checkpoint of a batch.

    Attributes:
        uri: As it was asked for.
        outcome: What became of it.
        seconds: How long it took.
        step: Its training step; None where the checkpoint cannot be read.
        trained_at: When it was saved; None as `step`.
        version: The version that holds it; None where it failed.
        digest: Of the export; None where it failed.
        reason: Why it failed, in one line; empty otherwise.
    """

    uri: str
    outcome: Outcome
    seconds: Seconds
    step: Count | None = None
    trained_at: Time | None = None
    version: Version | None = None
    digest: Digest | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ReexportReport(Record):
    """A batch, checkpoint by checkpoint, in the order asked for.

    Attributes:
        model: The definition's name.
        bucket: `gs://` URI of the model bucket.
        checkpoints: What became of each.
        seconds: Of the whole batch, without the start of its process.
        events: As `Release`.
    """

    model: ModelName
    bucket: Uri
    checkpoints: tuple[ReexportedCheckpoint, ...]
    seconds: Seconds
    events: tuple[ModelEvent, ...] = events_field()

    def equal_failures(self) -> tuple[tuple[ReexportedCheckpoint, ...], ...]:
        """Those that failed, by the kind of reason: rows that failed alike are together, the most first."""
        found: dict[str, list[ReexportedCheckpoint]] = {}
        for row in self.with_outcome("failed"):
            found.setdefault(wording_of(row.reason), []).append(row)
        return tuple(tuple(rows) for rows in sorted(found.values(), key=len, reverse=True))

    def failures_text(self) -> str:
        """Why they failed, in one line: each kind of reason once, of those that are most frequent."""
        groups = self.equal_failures()
        texts = [
            f"{rows[0].uri}{f' and {len(rows) - 1} others' if len(rows) > 1 else ''}: {rows[0].reason}"
            for rows in groups[:_MOST_REASONS]
        ]
        more = len(groups) - _MOST_REASONS
        return "; ".join([*texts, *([f"and {more} other reasons"] if more > 0 else [])])

    def with_outcome(self, outcome: Outcome) -> tuple[ReexportedCheckpoint, ...]:
        """The checkpoints of which that became."""
        return tuple(row for row in self.checkpoints if row.outcome == outcome)
