"""A stage's duration and bytes, in the metrics that Airflow sends to StatsD, OpenTelemetry or Datadog."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk.observability.stats import Stats

from redraw.records import Record


def send_duration(stage: str, model: str, seconds: float) -> None:
    """Send the timer `redraw.STAGE.duration`, also if the stage failed.

    Args:
        stage: The stage.
        model: The tag `model`.
        seconds: From the start of its process to its end.
    """
    Stats.timing(f"redraw.{stage}.duration", timedelta(seconds=seconds), tags={"model": model})


def send_size(stage: str, model: str, record: Record) -> None:
    """Send the gauge `redraw.STAGE.bytes` if the stage's record has a size.

    Args:
        stage: The stage.
        model: The tag `model`.
        record: The stage's record: a prune's size is what it removes, any other what it made.
    """
    size = getattr(record, "size_bytes", getattr(record, "bytes", None))
    if size is not None:
        Stats.gauge(f"redraw.{stage}.bytes", size, tags={"model": model})
