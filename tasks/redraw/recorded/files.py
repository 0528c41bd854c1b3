"""What the files of recorded graphs are called, and how large they may be; without TensorFlow."""

from __future__ import annotations

# Weights do not lie in a recording. As text a node takes about six times its memory while it is parsed.
MOST_BYTES = 512 << 20
_MOST_TEXT_BYTES = 96 << 20
TEXT_NAMES = (".pbtxt", ".txt")
SAVED_MODEL = "saved_model.pb"


def most_bytes(name: str) -> int:
    """How large a file of that name may be."""
    return _MOST_TEXT_BYTES if name.endswith(TEXT_NAMES) else MOST_BYTES
