"""Why a task failed, for the next task, a notifier or a page."""

from __future__ import annotations

import re
from dataclasses import dataclass

from redraw.records.base import Record
from redraw.records.forms import ShortText

# The parts that differ between failures of one kind: paths, digests and numbers.
_PARTICULAR = re.compile(r"(gs:/)?(/[\w.=+@-]+)+|\b[0-9a-f]{8,}\b|\d+")


@dataclass(frozen=True, kw_only=True)
class StageFailure(Record):
    """How a task of one of Redraw's operators failed.

    Attributes:
        model: The requested model, whether it exists or not.
        stage: The stage that the task runs.
        error: The error's name: one of `redraw.errors`, or Airflow's.
        message: Its message, in one line.
        retryable: Whether the same request may succeed later without a change.
    """

    model: ShortText
    stage: ShortText
    error: ShortText
    message: str
    retryable: bool


def wording_of(message: str) -> str:
    """A message without the parts that differ between failures of one kind, for grouping them.

    Example:
        >>> wording_of("gs://a/100-0123456789ab: 2 parts are missing")
        '#: # parts are missing'
    """
    return _PARTICULAR.sub("#", message)
