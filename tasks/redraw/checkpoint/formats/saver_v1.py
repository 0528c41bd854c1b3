"""A checkpoint of TF1's Saver V1: one table of values, read by TensorFlow's own reader.

The format has been superseded since 2016; TensorFlow still reads it, and nothing else
does. TensorFlow is imported only when such a checkpoint is opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.formats.locate import Located
from redraw.checkpoint.formats.streamed import StreamedSource, entry_of

__all__ = ["SaverV1Source"]

_SHARDS = "-?????-of-?????"


class SaverV1Source(StreamedSource):
    """A checkpoint of TF1's Saver V1, in one file or in several shards."""

    format = "saver_v1"

    def __init__(self, located: Located) -> None:
        """Read what tensors it holds.

        Raises:
            CheckpointCorrupt: It is damaged.
            StorageError: The bucket cannot be read.
        """
        self.uri = located.uri
        self.files = located.files
        self._folder = located.folder
        folder = located.folder.fetch(file.name for file in located.files)
        sharded = all(file.name != located.name for file in located.files)
        self._reader = self._open(folder / located.name, _SHARDS if sharded else "")
        shapes = self._reader.get_variable_to_shape_map()
        dtypes = self._reader.get_variable_to_dtype_map()
        self.entries = {
            name: entry_of(name, dtypes[name].name, tuple(shapes[name]), self.uri) for name in sorted(shapes)
        }

    def slabs(self, key: str) -> Iterator[np.ndarray]:
        """A tensor's value, in one part: TensorFlow's reader knows no other way."""
        from tensorflow import errors

        self.entries[key]
        try:
            value = self._reader.get_tensor(key)
        except (errors.OpError, RuntimeError, ValueError) as err:
            raise self._damage(err).found_in(self.uri, f"tensor {key!r}") from err
        yield np.array(value, object) if isinstance(value, bytes) else np.asarray(value)

    def _open(self, path: Path, shards: str) -> Any:
        import tensorflow as tf

        # The reader takes the path for a pattern, whatever is in it.
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", os.fspath(path)) + shards
        try:
            return tf.compat.v1.train.NewCheckpointReader(pattern)
        except (tf.errors.OpError, RuntimeError, ValueError) as err:
            raise self._damage(err).found_in(self.uri) from err

    def _damage(self, err: Exception) -> MalformedError:
        return MalformedError("a checkpoint that TensorFlow reads", str(err).partition("\n")[0][:200])
