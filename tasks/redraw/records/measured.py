"""What validation measured of two versions' answers: the attachment `metrics.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass

from redraw.errors import InvalidRecord
from redraw.records.codec import decode_dataclass, encode_dataclass
from redraw.records.json_text import parse_json
from redraw.records.schema import ATTACHMENT_SCHEMA, SCHEMA, check_schema

METRICS_NAME = "metrics.json"
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ComparedMetric:
    """A metric of what is served, measured on the same held-out requests.

    Attributes:
        name: The metric's.
        here: Its value; None for one that is no number.
        live: The same of the live version.
        lower_is_better: Whether less of it is better.
        error: By how much the difference may be off, at 99 % confidence; None if nobody knows.
    """

    name: str
    here: float | None
    live: float | None
    lower_is_better: bool
    error: float | None = None


@dataclass(frozen=True, kw_only=True)
class MeasuredMetrics:
    """The metrics of an export next to those of the live version.

    Attributes:
        against: The live version.
        metrics: Those that both were measured by, the one that stands for the model first.
        worse: Why the export should not take the live version's place by itself; empty if it may.
    """

    against: int
    metrics: tuple[ComparedMetric, ...]
    worse: str = ""

    def to_text(self) -> str:
        """The attachment's content."""
        value = {SCHEMA: ATTACHMENT_SCHEMA, **encode_dataclass(self)}
        return json.dumps(value, indent=1, allow_nan=False)


def read_measured(content: bytes, where: str = METRICS_NAME) -> MeasuredMetrics:
    """Read the attachment.

    Raises:
        NewerRecord: A newer version of Redraw wrote it.
        InvalidRecord: It is something else.
    """
    try:
        value = check_schema(parse_json(content, _MOST_BYTES), ATTACHMENT_SCHEMA, where)
        return decode_dataclass(MeasuredMetrics, value)
    except (ValueError, RecursionError) as err:
        raise InvalidRecord(
            f"{where}: expected what validation measured, got something else ({err}). Validate again."
        ) from err
