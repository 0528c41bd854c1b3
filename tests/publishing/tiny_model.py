"""A real SavedModel in seven files whose answer says which weights it was loaded with."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter

__all__ = ["OUTPUT", "save_tiny_model", "write_revision"]

# The lowest and the highest of all its weights.
OUTPUT = "StatefulPartitionedCall:0"

_WEIGHTS = 4
_ELEMENTS = 2000


def save_tiny_model(folder: Path) -> None:
    """Save it by TensorFlow itself; `write_revision` makes others of it without."""
    import tensorflow as tf

    class Tiny(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = [tf.Variable(tf.zeros([_ELEMENTS])) for _ in range(_WEIGHTS)]

        @tf.function(input_signature=[])
        def serve(self) -> dict[str, tf.Tensor]:
            together = tf.concat(self.weights, 0)
            return {"ends": tf.stack([tf.reduce_min(together), tf.reduce_max(together)])}

    tiny = Tiny()
    tf.saved_model.save(tiny, str(folder), signatures={"serving_default": tiny.serve})


def write_revision(source: Path, folder: Path, value: int) -> None:
    """Copy the model with all its weights set to a value, each in a data file of its own."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("variables.*"))
    bundle = TensorBundle(source / "variables" / "variables")
    with BundleWriter(folder / "variables" / "variables", shard_bytes=1, durable=False) as writer:
        for key in bundle.entries:
            array = bundle.read_array(key)
            writer.add_array(key, np.full_like(array, value) if array.dtype == np.float32 else array)
