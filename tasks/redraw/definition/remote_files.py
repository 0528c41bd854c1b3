"""Replace vocabularies and other assets that are not on this machine by local copies.

TensorFlow would read `gs://` with its own credentials, and could not copy such a file to `assets/` later.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from redraw.errors import InvalidDefinition
from redraw.storage.opening import Absent, open_storage
from redraw.storage.scratch import scratch_folder
from redraw.uri import Uri


@cache
def use_local_copies() -> None:
    """Make `tf.saved_model.Asset`, which all tables from files use, take a copy of a remote file."""
    import tensorflow as tf

    original, exists = tf.saved_model.Asset.__init__, tf.io.gfile.exists

    def initialize(asset: Any, path: Any) -> None:
        original(asset, local_copy(path))

    # Keras asks this before it makes a table.
    def is_there(path: Any) -> bool:
        return bool(exists(local_copy(path) if _is_bucket(path) else path))

    tf.saved_model.Asset.__init__, tf.io.gfile.exists = initialize, is_there


def local_copy(path: Any) -> Any:
    """The path of a copy, for a path with a scheme such as `gs://BUCKET/words.txt`; or else the same path."""
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
    return _fetched(text) if "://" in text else path


def _is_bucket(path: Any) -> bool:
    return isinstance(path, str) and path.startswith("gs://")


@cache
def _fetched(uri: str) -> str:
    folder = _folder() / hashlib.sha256(uri.encode()).hexdigest()[:16]
    target = folder / uri.rpartition("/")[2]
    folder.mkdir(exist_ok=True)
    if not uri.startswith("gs://"):
        sys.modules["tensorflow"].io.gfile.copy(uri, os.fspath(target), overwrite=True)
        return os.fspath(target)
    place = Uri(uri)
    try:
        open_storage(place.parent).download(place.name, target)
    except Absent as err:
        raise InvalidDefinition(f"asset {uri}: found no such file. Correct the path.") from err
    return os.fspath(target)


@cache
def _folder() -> Path:
    """A folder until the end of the process, because tables read it whenever they are made again."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(scratch_folder("assets"))
