from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf

from redraw.serving import ServingProcess
from tests.redraw.dtypes import NUMBERS

DTYPES = (*NUMBERS, "string")


class Mirror(tf.Module):
    """Gives back what it gets, in every dtype, and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.count = tf.Variable(0, dtype=tf.int64, name="count")
        self.weight = tf.Variable([1.0, 2.0], name="weight")

    def signature(self, dtype: str) -> tf.types.experimental.ConcreteFunction:
        @tf.function
        def mirror(x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": tf.identity(x)}

        return mirror.get_concrete_function(tf.TensorSpec(None, dtype, name="x"))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def counted(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        self.count.assign_add(1)
        return {"y": x * self.weight[1]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="x")])
    def endless(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.while_loop(lambda n: tf.reduce_any(n < 0), lambda n: (tf.minimum(n, 7),), (x,))[0]}


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel with a signature for each dtype, `counted`, and `endless` for numbers below 0."""
    module, folder = Mirror(), tmp_path_factory.mktemp("mirror") / "model"
    signatures = {dtype: module.signature(dtype) for dtype in DTYPES}
    signatures |= {"counted": module.counted, "endless": module.endless}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


@pytest.fixture(scope="session")
def serving() -> Iterator[ServingProcess]:
    """A serving process for all tests of a session that do not kill theirs."""
    with ServingProcess() as one:
        yield one
