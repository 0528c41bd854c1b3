"""Times in records: UTC, `YYYY-MM-DDTHH:MM:SSZ`, which sort as text."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# The first second of the year 10000, which does not fit this form.
_END = 253402300800
_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def is_moment(seconds: float) -> bool:
    """Whether seconds since 1970 UTC are a valid time for a record: from 1970 to 9999, no NaN."""
    return 0 <= seconds < _END


def is_time(text: str) -> bool:
    """Whether a text is a time in the form of records."""
    try:
        return bool(_FORM.fullmatch(text)) and is_moment(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return False


def format_time(seconds: float) -> str:
    """A time in the form of records.

    Args:
        seconds: Since 1970 UTC.

    Raises:
        ValueError: A record cannot have it; the message says what was expected.
    """
    if not is_moment(seconds):
        raise ValueError(f"expected a time from 1970 to 9999, got {seconds} seconds after 1970")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def now() -> str:
    """The time in UTC, `YYYY-MM-DDTHH:MM:SSZ`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> str:
    """Convert a time in ISO 8601 to the form of records.

    Args:
        text: ISO 8601, such as `2025-03-01` (its midnight) or `2025-03-01T12:00:00+01:00`;
            without an offset it is UTC.

    Raises:
        ValueError: It is no such time; the message says what was expected.
    """
    try:
        moment = datetime.fromisoformat(text)
        return format_time((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError) as err:
        raise ValueError(
            "expected a time such as 2025-03-01 or 2025-03-01T12:00:00Z, from 1970 to 9999, got"
            f" {text!r:.100}"
        ) from err
