"""Times as records have them: UTC, `YYYY-MM-DDTHH:MM:SSZ`, which sort as text."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["format_time", "now", "parse_time"]


def format_time(seconds: float) -> str:
    """A time as records have it.

    Args:
        seconds: Since 1970 UTC.
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def now() -> str:
    """The time in UTC, `YYYY-MM-DDTHH:MM:SSZ`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> str:
    """A time that somebody wrote, as records have it.

    Args:
        text: ISO 8601, such as `2025-03-01` (its midnight) or `2025-03-01T12:00:00+01:00`;
            without an offset it is UTC.

    Raises:
        ValueError: It is none; the message says what was expected.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as err:
        raise ValueError(f"expected a time such as 2025-03-01 or 2025-03-01T12:00:00Z, got {text!r}") from err
    return format_time((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
