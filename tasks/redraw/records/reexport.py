"""The record of `reexport`: the results of a batch, one row for each checkpoint; standard library only."""

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
        uri: The requested URI.
        outcome: The result.
        seconds: How long it took.
        step: Its training step; None if the checkpoint cannot be read.
        trained_at: When it was saved; None if the checkpoint cannot be read.
        version: The version with its weights; None if it failed.
        digest: Of the export; None if it failed.
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
    """The results of a batch, in the requested order.

    Attributes:
        model: The definition's name.
        bucket: `gs://` URI of the model bucket.
        checkpoints: The result of each.
        seconds: Of the whole batch, without the start of its process.
        events: The events that were sent to webhooks; only printed.
    """

    model: ModelName
    bucket: Uri
    checkpoints: tuple[ReexportedCheckpoint, ...]
    seconds: Seconds
    events: tuple[ModelEvent, ...] = events_field()

    def equal_failures(self) -> tuple[tuple[ReexportedCheckpoint, ...], ...]:
        """The failed checkpoints, grouped by the kind of reason, the largest group first."""
        groups: dict[str, list[ReexportedCheckpoint]] = {}
        for row in self.with_outcome("failed"):
            groups.setdefault(wording_of(row.reason), []).append(row)
        return tuple(tuple(rows) for rows in sorted(groups.values(), key=len, reverse=True))

    def failures_text(self) -> str:
        """Why checkpoints failed, in one line: each of the most frequent kinds of reason once."""
        groups = self.equal_failures()
        texts = [
            f"{rows[0].uri}{f' and {len(rows) - 1} others' if len(rows) > 1 else ''}: {rows[0].reason}"
            for rows in groups[:_MOST_REASONS]
        ]
        more = len(groups) - _MOST_REASONS
        return "; ".join([*texts, *([f"and {more} other reasons"] if more > 0 else [])])

    def with_outcome(self, outcome: Outcome) -> tuple[ReexportedCheckpoint, ...]:
        """The checkpoints with an outcome."""
        return tuple(row for row in self.checkpoints if row.outcome == outcome)
