"""How fast a version answered when it was validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redraw_airflow.web.views.attachments import decode_kept

__all__ = ["Latency", "read_latency"]


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

    rows: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    rows_per_second: float
    runs: int


@dataclass(frozen=True, kw_only=True)
class _Figures:
    signatures: Mapping[str, tuple[Latency, ...]]


def read_latency(content: bytes) -> Mapping[str, tuple[Latency, ...]]:
    """Read `latency.json`: signature to its figures.

    Raises:
        InvalidRecord: It is something else.
    """
    return decode_kept(_Figures, content, "signatures").signatures
