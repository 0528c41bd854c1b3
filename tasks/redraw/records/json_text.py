"""Parse untrusted JSON, with limits of size and depth."""

from __future__ import annotations

import json
from typing import Any

from redraw.records.codec import JsonMismatch

# The largest record, in bytes: about that of a manifest of 10,000 files.
RECORD_BYTES = 2 << 20
_DEEPEST = 100


def parse_json(text: str | bytes, most: int = RECORD_BYTES, deepest: int = _DEEPEST) -> Any:
    """Parse a text.

    Args:
        text: The JSON.
        most: The largest length, in bytes or characters.
        deepest: The largest depth of nested lists and objects.

    Returns:
        The JSON value.

    Raises:
        JsonMismatch: It is no JSON, or is longer or deeper.
    """
    if len(text) > most:
        raise JsonMismatch(f"expected JSON of at most {most} bytes, got {len(text)}")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise JsonMismatch(f"expected JSON, got {str(err)[:200]}") from err
    if not _is_shallow(value, deepest):
        raise JsonMismatch(f"expected JSON of at most {deepest} levels, got more")
    return value


def _is_shallow(value: object, deepest: int) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(deepest):
        inner = (item.values() if isinstance(item, dict) else item for item in level)
        level = [child for items in inner for child in items if isinstance(child, dict | list)]
    return not level
