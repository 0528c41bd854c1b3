"""The number of a stored record's form, so that a reader knows what it cannot read.

Records that Redraw wrote before it numbered them have no such key; they are read as schema 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redraw.errors import InvalidRecord, NewerRecord

SCHEMA = "schema"
# The form of a report's JSON attachments, `graphs.json`, `latency.json` and `golden.json`.
ATTACHMENT_SCHEMA = 1


def check_schema(value: object, known: int, what: str) -> dict[str, Any]:
    """Demand that a stored object has a form that this version of Redraw knows.

    Args:
        value: The JSON object, as it was read.
        known: The newest schema number that is known of it.
        what: What it is, for the message.

    Returns:
        The object without its schema number.

    Raises:
        NewerRecord: Its number is higher than `known`.
        InvalidRecord: It is no object, or its number is not a whole number of 0 or more.
    """
    if not isinstance(value, Mapping):
        raise InvalidRecord(f"{what}: expected a JSON object, got {value!r:.60}.")
    schema = value.get(SCHEMA, 0)
    if type(schema) is not int or schema < 0:
        raise InvalidRecord(f"{what}: key {SCHEMA!r}: expected a whole number, got {schema!r:.60}.")
    if schema > known:
        raise NewerRecord(
            f"{what}: expected schema {known} or older, got {schema}: a newer version of Redraw wrote it."
            " Upgrade Redraw."
        )
    return {key: item for key, item in value.items() if key != SCHEMA}
