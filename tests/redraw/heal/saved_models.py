"""SavedModels as people left them: some train, draw at random, call Python, or hold an optimizer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

tf1 = tf.compat.v1

WIDTH, CLASSES = 6, 3
Answer = Callable[[Mapping[str, np.ndarray]], np.ndarray]
_SPEC = tf.TensorSpec([None, WIDTH], tf.float32, name="x")


class Net(tf.Module):
    """Two layers in NumPy's hands, with dropout that is alive."""

    def __init__(self, *, alive: bool = True) -> None:
        super().__init__()
        rng = np.random.default_rng(1)
        self.first = tf.Variable(rng.normal(size=(WIDTH, 5)).astype(np.float32), name="first")
        self.second = tf.Variable(rng.normal(size=(5, CLASSES)).astype(np.float32), name="second")
        self.alive = alive

    @tf.function(input_signature=[_SPEC])
    def serve(self, x: Any) -> dict[str, Any]:
        hidden = tf.tanh(x @ self.first)
        hidden = tf.nn.dropout(hidden, 0.4) if self.alive else hidden
        return {"scores": hidden @ self.second}

    @tf.function(input_signature=[_SPEC])
    def embed(self, x: Any) -> dict[str, Any]:
        return {"hidden": tf.tanh(x @ self.first)}

    def answer(self, request: Mapping[str, np.ndarray]) -> np.ndarray:
        """What `serve` is without dropout."""
        return np.tanh(request["x"] @ self.first.numpy()) @ self.second.numpy()


def dropout(folder: Path) -> Answer:
    """TF2, two signatures that share weights."""
    net = Net()
    tf.saved_model.save(net, str(folder), {"serving_default": net.serve, "embed": net.embed})
    return net.answer


def good(folder: Path) -> Answer:
    """TF2, nothing wrong with it."""
    net = Net(alive=False)
    tf.saved_model.save(net, str(folder), {"serving_default": net.serve})
    return net.answer


def keras_3(folder: Path) -> Answer:
    """Exported as if it were trained, and each weight stored twice."""
    net = keras.Sequential(
        [keras.Input((WIDTH,)), keras.layers.Dense(8), keras.layers.BatchNormalization(),
         keras.layers.Dropout(0.3), keras.layers.Dense(CLASSES)]
    )  # fmt: skip
    net.compile("adam", "mse")
    net.fit(np.random.default_rng(2).normal(size=(64, WIDTH)), np.zeros((64, CLASSES)), verbose=0)
    archive = keras.export.ExportArchive()
    archive.track(net)
    archive.add_endpoint("serve", lambda x: {"scores": net(x, training=True)}, input_signature=[_SPEC])
    archive.write_out(str(folder), verbose=False)
    return lambda request: np.asarray(net(request["x"], training=False))


def keras_2(folder: Path) -> Answer:
    """A whole model with its optimizer, served as if it were trained, by a fused batch normalization."""
    net = tf_keras.Sequential(
        [tf_keras.Input((WIDTH,), name="x"), tf_keras.layers.Reshape((3, 2, 1)),
         tf_keras.layers.Conv2D(4, 2), tf_keras.layers.BatchNormalization(),
         tf_keras.layers.Dropout(0.3), tf_keras.layers.Flatten(), tf_keras.layers.Dense(CLASSES)]
    )  # fmt: skip
    net.compile("adam", "mse")
    net.fit(np.random.default_rng(2).normal(size=(64, WIDTH)), np.zeros((64, CLASSES)), verbose=0)
    serve = tf.function(lambda x: {"scores": net(x, training=True)}, input_signature=[_SPEC])
    tf.saved_model.save(net, str(folder), {"serving_default": serve})
    return lambda request: np.asarray(net(request["x"], training=False))


def tf1_graph(folder: Path) -> Answer:
    """TF1: Python before the input, reference variables, dropout, an optimizer's slots."""
    with tf.Graph().as_default(), tf1.Session() as session, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = tf1.placeholder(tf.float32, [None, WIDTH], "raw")
        x = tf1.py_func(lambda values: values, [raw], tf.float32)
        x.set_shape([None, WIDTH])
        label = tf1.placeholder(tf.float32, [None, CLASSES], "label")
        kernel = tf1.get_variable("kernel", [WIDTH, CLASSES], use_resource=False)
        scores = tf.nn.dropout(tf.tanh(x), rate=0.4) @ kernel
        tf1.train.AdamOptimizer().minimize(tf.reduce_mean((scores - label) ** 2))
        session.run(tf1.global_variables_initializer())
        tf1.saved_model.simple_save(session, str(folder), {"x": x}, {"scores": scores})
        value = session.run(kernel)
    return lambda request: np.tanh(request["x"]) @ value


ALIVE: dict[str, Callable[[Path], Answer]] = {
    "dropout": dropout,
    "keras_3": keras_3,
    "keras_2": keras_2,
    "tf1_graph": tf1_graph,
}


def _saved(folder: Path, serve: Callable[[Net, Any], Any], **signatures: Any) -> None:
    net = Net()
    function = tf.function(lambda x: {"scores": serve(net, x)}, input_signature=[_SPEC])
    tf.saved_model.save(net, str(folder), {"serving_default": function, **signatures})


def no_average(folder: Path) -> None:
    """Normalizes by its batch, and keeps no average."""

    def serve(net: Net, x: Any) -> Any:
        hidden = tf.reshape(x @ net.first, [-1, 1, 1, 5])
        normalized = tf.raw_ops.FusedBatchNormV3(
            x=hidden, scale=tf.ones(5), offset=tf.zeros(5), mean=[], variance=[], is_training=True
        )
        return tf.reshape(normalized.y, [-1, 5]) @ net.second

    _saved(folder, serve)


def python_behind(folder: Path) -> None:
    """Calls Python behind the input."""

    def serve(net: Net, x: Any) -> Any:
        doubled = tf.numpy_function(lambda values: values * 2, [x], tf.float32)
        return tf.ensure_shape(doubled, [None, WIDTH]) @ net.first

    _saved(folder, serve)


def sampler(folder: Path) -> None:
    """Answers by chance."""
    _saved(folder, lambda net, x: tf.random.categorical(x @ net.first, 1))


def no_signatures(folder: Path) -> None:
    """Has none."""
    tf.saved_model.save(tf.Module(), str(folder))


def unsaved(folder: Path) -> None:
    """Serves a variable that was not saved with it."""
    net = Net(alive=False)
    module = tf.Module()
    module.serve = net.serve
    net_2 = keras.Sequential([keras.Input((WIDTH,)), keras.layers.Dense(CLASSES)])
    module.variables_list = list(net_2.variables)
    function = tf.function(lambda x: {"scores": net_2(x)}, input_signature=[_SPEC])
    module.first, module.second = net.first, net.second
    tf.saved_model.save(module, str(folder), {"serving_default": function})


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "no_average": (
        no_average,
        r"normalizes with the batch's statistics, and has no moving average of its mean and",
    ),
    "python_behind": (python_behind, r"PyFunc\w* '.*', which runs outside of the graph"),
    "sampler": (sampler, r"Multinomial '.*' (meets|reaches)"),
    "no_signatures": (no_signatures, r"expected a SavedModel with signatures, got none"),
    "unsaved": (unsaved, r"lacks .*kernel"),
}
