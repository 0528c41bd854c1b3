"""The file `checkpoint` in which TensorFlow notes the newest checkpoint of a folder."""

from __future__ import annotations

import re

from google.protobuf import text_format

from tasks.checkpoint.encoding import MalformedError
from tasks.checkpoint.entries import decode_text
from tasks.checkpoint.formats.folder import Folder
from tasks.checkpoint.messages import CheckpointState

__all__ = ["STATE_FILE", "newest_in_state_file"]

STATE_FILE = "checkpoint"
_LARGEST = 8 * 1024 * 1024


def newest_in_state_file(folder: Folder) -> str:
    """The name of the newest checkpoint, as the file notes it.

    Of a path only the last part is taken: the folder may have been copied from another
    machine, and the checkpoint lay beside this file when it was written.

    Args:
        folder: A folder with such a file.

    Returns:
        The checkpoint's name in the folder.

    Raises:
        CheckpointCorrupt: The file is damaged.

    Source:
        https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/python/training/checkpoint_state.proto
    """
    text = folder.read(folder.files[STATE_FILE], 0, _LARGEST)
    state = CheckpointState()
    try:
        text_format.Parse(text, state, allow_unknown_field=True)
    except (text_format.ParseError, UnicodeDecodeError) as err:
        damage = MalformedError("a text with model_checkpoint_path", f"{text[:60]!r}")
        raise damage.found_in(folder.uri_of(STATE_FILE)) from err
    path = decode_text(state.model_checkpoint_path)
    if not path:
        raise MalformedError("model_checkpoint_path", "none").found_in(folder.uri_of(STATE_FILE))
    # The shards of a Saver V1 are noted as a pattern for their names.
    return re.sub(r"-\?{5}-of-\d{5}$", "", re.split(r"[/\\]", path)[-1])
