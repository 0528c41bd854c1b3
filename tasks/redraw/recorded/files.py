"""Names and largest sizes of files of recorded graphs, without TensorFlow."""

from __future__ import annotations

# A recording has no weights. A node in text form takes about six times its size in memory while parsed.
MOST_BYTES = 512 << 20
_MOST_TEXT_BYTES = 96 << 20
TEXT_NAMES = (".pbtxt", ".txt")
SAVED_MODEL = "saved_model.pb"


def most_bytes(name: str) -> int:
    """The largest size of a file of that name."""
    return _MOST_TEXT_BYTES if name.endswith(TEXT_NAMES) else MOST_BYTES
