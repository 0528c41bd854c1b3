"""What validation leaves next to a version as JSON, read again: anybody may have written it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from redraw.errors import InvalidRecord
from redraw.records.codec import JsonMismatch, decode_dataclass, encode_dataclass
from redraw.records.forms import Amount, Count, ShortText
from redraw.records.json_text import parse_json
from redraw.records.schema import ATTACHMENT_SCHEMA, SCHEMA, check_schema

DESCRIPTION_NAME, LATENCY_NAME = "definition.json", "latency.json"
T = TypeVar("T")
# The attachment with a request for each signature, and its answer.
GOLDEN = "golden.json"
METRICS_NAME = "metrics.json"
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a definition says of its model for the model card; each as `ModelDefinition` has it."""

    owner: str = ""
    license: str = ""
    intended_use: str = ""
    limits: str = ""
    data_sets: tuple[str, ...] = ()

    def to_text(self) -> str:
        """The attachment's content."""
        return json.dumps({SCHEMA: ATTACHMENT_SCHEMA, **encode_dataclass(self)}, indent=1, allow_nan=False)


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Requests of one size, one at a time, in TensorFlow's C++ runtime.

    Attributes:
        rows: Of each request.
        p50_ms: Half of them were answered within this, in milliseconds.
        p95_ms: 95 of 100 were.
        p99_ms: 99 of 100 were.
        rows_per_second: In the time that they took.
        runs: How many requests there were.
    """

    rows: Count
    p50_ms: Amount
    p95_ms: Amount
    p99_ms: Amount
    rows_per_second: Amount
    runs: Count


@dataclass(frozen=True, kw_only=True)
class _Figures:
    signatures: Mapping[str, tuple[Latency, ...]]


def read_latency(content: bytes) -> Mapping[str, tuple[Latency, ...]]:
    """Read `latency.json`: signature to its figures.

    Raises:
        InvalidRecord: It is something else.
    """
    return decode_attachment(_Figures, content, "signatures").signatures


def read_description(content: bytes) -> Description:
    """Read `definition.json`.

    Raises:
        InvalidRecord: It is something else.
    """
    return decode_attachment(Description, content)


@dataclass(frozen=True, kw_only=True)
class GoldenRequest:
    """A request for a signature, and what TensorFlow's C++ runtime answered when the export was validated.

    Attributes:
        inputs: Input name to values, as the command `ask` takes them.
        outputs: Output name to values.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class GoldenRequests:
    """What a model server has to answer.

    Attributes:
        signatures: Signature name to its request; none of signatures whose answers vary, or are too large.
        tolerance: How much floats may differ, absolute and relative.
    """

    signatures: Mapping[ShortText, GoldenRequest]
    tolerance: Amount


def read_golden(content: bytes) -> GoldenRequests:
    """Read `golden.json`; raises as `read_latency`."""
    return decode_attachment(GoldenRequests, content)


def decode_attachment(cls: type[T], content: bytes, field: str = "", known: int = ATTACHMENT_SCHEMA) -> T:
    """Read JSON as a dataclass; keys that it does not have are passed over.

    Args:
        cls: The dataclass.
        content: One JSON object.
        field: The only field of the dataclass, if the object of schema 0 was its value.
        known: The newest schema number that is known of it.

    Raises:
        NewerRecord: A newer version of Redraw wrote it.
        InvalidRecord: It is no such object.
    """
    try:
        value: Any = json.loads(content)
        if not isinstance(value, Mapping):
            raise JsonMismatch("expected an object")
        if field and not isinstance(value.get(SCHEMA), int):
            value = {field: value}
        value = check_schema(value, known, cls.__name__.strip("_").lower())
        names = {declared.name for declared in fields(cls)}  # type: ignore[arg-type]
        return decode_dataclass(cls, {key: item for key, item in value.items() if key in names})
    except (ValueError, RecursionError) as err:
        raise InvalidRecord(
            f"expected what validation writes, got something else ({err}). Find out who wrote it."
        ) from err


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
