"""Read the file `checkpoint`, in which TensorFlow lists a folder's checkpoints and the newest one."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import text_format

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import decode_text
from redraw.checkpoint.bundle.messages import CheckpointState
from redraw.checkpoint.formats.folder import Folder

STATE_FILE = "checkpoint"
# The file of a training that keeps 10,000 checkpoints has about 1 MB.
STATE_BYTES = 2 << 20


def newest_in_state_file(folder: Folder) -> str:
    """The name of the newest checkpoint according to the file.

    Only the last part of a path is used: the folder may have been copied from another
    machine, and TensorFlow writes this file next to the checkpoint.

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
    """When the checkpoints of a folder were saved, according to the file.

    Args:
        text: The file's content.
        where: Its name in messages.

    Returns:
        The checkpoint's name in the folder to seconds since 1970 UTC; empty for TF1, which wrote no times.

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
        raise MalformedError(f"a file of at most {STATE_BYTES} bytes", "more").found_in(where)
    try:
        text_format.Parse(text, state, allow_unknown_field=True)
    except (text_format.ParseError, UnicodeDecodeError, RecursionError) as err:
        raise MalformedError("a text protocol buffer with model_checkpoint_path", f"{text[:60]!r}").found_in(
            where
        ) from err
    return state


def _name_in_folder(path: str) -> str:
    # The shards of a Saver V1 are listed as a pattern.
    return re.sub(r"-\?{5}-of-\d{5}$", "", re.split(r"[/\\]", path)[-1])
