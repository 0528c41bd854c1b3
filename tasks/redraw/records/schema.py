"""Schema numbers of stored records, so that a reader refuses forms that it cannot read.

Records without a schema number, from old versions of Redraw, are read as schema 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redraw.errors import InvalidRecord, NewerRecord

SCHEMA = "schema"
# The form of a report's JSON attachments, `graphs.json`, `latency.json` and `golden.json`.
ATTACHMENT_SCHEMA = 1


def check_schema(value: object, newest: int, what: str) -> dict[str, Any]:
    """Demand that a stored object has a form that this version of Redraw can read.

    Args:
        value: The JSON object.
        newest: The newest schema number that can be read.
        what: A name of the object, for the message.

    Returns:
        The object without its schema number.

    Raises:
        NewerRecord: Its number is higher than `newest`.
        InvalidRecord: It is no object, or its number is not a whole number of 0 or more.
    """
    if not isinstance(value, Mapping):
        raise InvalidRecord(f"{what}: expected a JSON object, got {value!r:.60}.")
    schema = value.get(SCHEMA, 0)
    if type(schema) is not int or schema < 0:
        raise InvalidRecord(f"{what}: key {SCHEMA!r}: expected a whole number, got {schema!r:.60}.")
    if schema > newest:
        raise NewerRecord(
            f"{what}: expected schema {newest} or older, got {schema}: a newer version of Redraw wrote it."
            " Upgrade Redraw."
        )
    return {key: item for key, item in value.items() if key != SCHEMA}
