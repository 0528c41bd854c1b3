"""The file `checkpoint` in which TensorFlow notes the checkpoints of a folder, and which is the newest."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import text_format

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import decode_text
from redraw.checkpoint.bundle.messages import CheckpointState
from redraw.checkpoint.formats.folder import Folder

STATE_FILE = "checkpoint"
# A training that kept 10,000 checkpoints writes about 1 MB.
STATE_BYTES = 2 << 20


def newest_in_state_file(folder: Folder) -> str:
    """The name of the newest checkpoint, as the file notes it.

    Of a path only the last part is taken: the folder may have been copied from another
    machine, and the checkpoint lay next to this file when it was written.

    Args:
        folder: A folder with such a file.

    Returns:
        The checkpoint's name in the folder.

    Raises:
        CheckpointCorrupt: The file is damaged.

    Source:
        https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/python/training/checkpoint_state.proto
    """
    where = folder.uri_of(STATE_FILE)
    state = _parse(folder.read(folder.files[STATE_FILE], 0, STATE_BYTES + 1), where)
    path = decode_text(state.model_checkpoint_path)
    if not path:
        raise MalformedError("model_checkpoint_path", "none").found_in(where)
    return _name_in_folder(path)


def times_in_state_file(text: bytes, where: str) -> dict[str, float]:
    """When the checkpoints of a folder were saved, as far as the file notes it.

    Args:
        text: The file's content.
        where: What it is called, for messages.

    Returns:
        The checkpoint's name in the folder to seconds since 1970 UTC; TF1 noted no times.

    Raises:
        CheckpointCorrupt: The file is damaged.
    """
    state = _parse(text, where)
    paths, times = state.all_model_checkpoint_paths, state.all_model_checkpoint_timestamps
    if len(paths) != len(times):
        return {}
    return {_name_in_folder(decode_text(path)): time for path, time in zip(paths, times, strict=True)}


def _parse(text: bytes, where: str) -> Any:
    state = CheckpointState()
    if len(text) > STATE_BYTES:
        raise MalformedError(f"at most {STATE_BYTES} bytes", "more").found_in(where)
    try:
        text_format.Parse(text, state, allow_unknown_field=True)
    except (text_format.ParseError, UnicodeDecodeError, RecursionError) as err:
        raise MalformedError("a text with model_checkpoint_path", f"{text[:60]!r}").found_in(where) from err
    return state


def _name_in_folder(path: str) -> str:
    # The shards of a Saver V1 are noted as a pattern for their names.
    return re.sub(r"-\?{5}-of-\d{5}$", "", re.split(r"[/\\]", path)[-1])
