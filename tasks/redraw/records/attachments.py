"""Read the JSON files that validation attaches to a version; anybody may have written them."""

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
    """A definition's description of its model, for the model card: attributes of `ModelDefinition`."""

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
        p50_ms: Time within which half of the requests were answered, in milliseconds.
        p95_ms: The same for 95 of 100 requests.
        p99_ms: The same for 99 of 100 requests.
        rows_per_second: Rows answered per second.
        runs: The number of requests.
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
    """A request for a signature, and the answer of TensorFlow's C++ runtime during validation.

    Attributes:
        inputs: Input name to values, in the form of the command `ask`.
        outputs: Output name to values.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class GoldenRequests:
    """The recorded requests that a model server must answer.

    Attributes:
        signatures: Signature name to its request; without signatures whose answers vary, or are too large.
        tolerance: How much floats may differ, absolute and relative.
    """

    signatures: Mapping[ShortText, GoldenRequest]
    tolerance: Amount


def read_golden(content: bytes) -> GoldenRequests:
    """Read `golden.json`.

    Raises:
        InvalidRecord: It is something else.
    """
    return decode_attachment(GoldenRequests, content)


def decode_attachment(cls: type[T], content: bytes, field: str = "", newest: int = ATTACHMENT_SCHEMA) -> T:
    """Read JSON as a dataclass; unknown keys are ignored.

    Args:
        cls: The dataclass.
        content: One JSON object.
        field: The only field of the dataclass, if the object of schema 0 was its value.
        newest: The newest schema number that can be read.

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
        value = check_schema(value, newest, cls.__name__.strip("_").lower())
        names = {declared.name for declared in fields(cls)}  # type: ignore[arg-type]
        return decode_dataclass(cls, {key: item for key, item in value.items() if key in names})
    except (ValueError, RecursionError) as err:
        raise InvalidRecord(
            f"expected an attachment that 'redraw validate' writes, got another content ({err}). Validate"
            " the export again."
        ) from err


@dataclass(frozen=True, kw_only=True)
class ComparedMetric:
    """A metric of an export and of the live version, measured on the same held-out requests.

    Attributes:
        name: The metric's.
        here: The export's value; None if it is no number.
        live: The live version's value.
        lower_is_better: Whether less of it is better.
        error: The error of the difference, at 99 % confidence; None if it is unknown.
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
        metrics: The metrics of both, the most important first.
        worse: Why the export should not replace the live version automatically; empty if it may.
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
            f"{where}: expected measurements that 'redraw validate' writes, got another content ({err})."
            " Validate the export again."
        ) from err
