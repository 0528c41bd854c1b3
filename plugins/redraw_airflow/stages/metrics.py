"""What a stage took, in the metrics that Airflow sends to StatsD, OpenTelemetry or Datadog."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk.observability.stats import Stats

from redraw.records import Record


def send_duration(stage: str, model: str, seconds: float) -> None:
    """Send the timer `redraw.STAGE.duration`, whether the stage ended well or not.

    Args:
        stage: The stage.
        model: The tag `model`.
        seconds: From the start of its process to its end.
    """
    Stats.timing(f"redraw.{stage}.duration", timedelta(seconds=seconds), tags={"model": model})


def send_size(stage: str, model: str, record: Record) -> None:
    """Send the gauge `redraw.STAGE.bytes`, of a stage whose record has a size.

    Args:
        stage: The stage.
        model: The tag `model`.
        record: What it printed: of a prune the bytes that go, otherwise those of what was made.
    """
    size = getattr(record, "size_bytes", getattr(record, "bytes", None))
    if size is not None:
        Stats.gauge(f"redraw.{stage}.bytes", size, tags={"model": model})
