"""A checkpoint of TF1's Saver V1: one table of values, read by TensorFlow's own reader.

The format was superseded in 2016 and only TensorFlow still reads it. TensorFlow is imported
only when such a checkpoint is opened.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from redraw.checkpoint.bundle.dtypes import dtype_name, numpy_dtype
from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import check_size
from redraw.checkpoint.bundle.messages import SavedTensorSlices, parse_message
from redraw.checkpoint.bundle.table import read_table
from redraw.checkpoint.formats.locate import Located
from redraw.checkpoint.formats.streamed import StreamedSource, entry_of
from redraw.records.forms import HIGHEST_RANK

_SHARDS = "-?????-of-?????"
# A number of eight bytes takes at least one, and Snappy makes it 22 times smaller.
_MOST_EXPANSION = 200


class SaverV1Source(StreamedSource):
    """A checkpoint of TF1's Saver V1, in one file or in several shards."""

    format = "saver_v1"

    def __init__(self, located: Located) -> None:
        """Read the list of tensors.

        Raises:
            CheckpointCorrupt: It is damaged.
            StorageError: The bucket cannot be read.
        """
        self.uri = located.uri
        self.files = located.files
        self._folder = located.folder
        folder = located.folder.fetch(file.name for file in located.files)
        sharded = all(file.name != located.name for file in located.files)
        size = sum(file.size for file in located.files)
        for file in located.files:
            self._check_declared(folder / file.name, size)
        self._reader = self._open(folder / located.name, _SHARDS if sharded else "")
        shapes = self._reader.get_variable_to_shape_map()
        dtypes = self._reader.get_variable_to_dtype_map()
        self.entries = {
            name: entry_of(name, dtypes[name].name, tuple(shapes[name]), self.uri) for name in sorted(shapes)
        }

    def slabs(self, key: str) -> Iterator[np.ndarray]:
        """A tensor's value in one part, because TensorFlow's reader returns only that."""
        from tensorflow import errors

        self.entries[key]
        try:
            value = self._reader.get_tensor(key)
        except (errors.OpError, RuntimeError, ValueError) as err:
            raise self._damage(err).found_in(self.uri, f"tensor {key!r}") from err
        yield np.array(value, object) if isinstance(value, bytes) else np.asarray(value)

    def _check_declared(self, path: Path, size: int) -> None:
        """Refuse unknown dtypes and impossible sizes, which TensorFlow's reader does not check."""
        declared = 0
        try:
            _, value = next(read_table(path, self.uri), (b"", b""))
            for tensor in parse_message(SavedTensorSlices, value).meta.tensor:
                dtype, shape = dtype_name(tensor.type), tuple(dim.size for dim in tensor.shape.dim)
                if dtype is None or tensor.shape.unknown_rank or len(shape) > HIGHEST_RANK:
                    raise MalformedError(
                        "a TensorFlow dtype and shape",
                        f"dtype number {tensor.type} and {len(shape)} dimensions",
                    )
                check_size(dtype, shape, None)
                storage = numpy_dtype(dtype)
                declared += math.prod(shape) * (1 if storage is None else storage.itemsize)
            if declared > _MOST_EXPANSION * size:
                raise MalformedError(
                    f"tensors that fit into a file of {size} bytes", f"tensors of {declared} bytes"
                )
        except MalformedError as err:
            raise err.found_in(self.uri) from err

    def _open(self, path: Path, shards: str) -> Any:
        import tensorflow as tf

        # The reader treats the path as a pattern.
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", os.fspath(path)) + shards
        try:
            return tf.compat.v1.train.NewCheckpointReader(pattern)
        except (tf.errors.OpError, RuntimeError, ValueError) as err:
            raise self._damage(err).found_in(self.uri) from err

    def _damage(self, err: Exception) -> MalformedError:
        return MalformedError("a checkpoint that TensorFlow can read", str(err).partition("\n")[0][:200])
