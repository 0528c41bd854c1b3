"""Files of Keras 2 and 3 in every format: what is exported answers as their framework does, or is refused."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from redraw.checkpoint.formats.source import open_checkpoint
from redraw.definition import Mode, TensorSpec
from redraw.errors import CheckpointMismatch, InvalidDefinition
from redraw.export.prepared import PreparedModel
from tests.defects.tiny import Arrays, Tensors, Tiny, normal, one_signature
from tests.kits import forget_names

X = normal(5, 6, 3)
Build = Callable[[Any], Any]


def chain(kit: Any, *layers: Any, name: str | None = None) -> Any:
    x = kit.Input((6, 3), name="x")
    y = x
    for layer in layers:
        y = layer(y)
    return kit.Model(x, y, name=name)


def tower(kit: Any, name: str) -> Any:
    i = kit.Input((3,))
    return kit.Model(i, kit.layers.Dense(3, activation="tanh", name="dense")(i), name=name)


def towers(kit: Any) -> Any:
    x = kit.Input((6, 3), name="x")
    pooled = [kit.layers.GlobalMaxPooling1D()(x), kit.layers.GlobalAveragePooling1D()(x)]
    joined = kit.layers.Concatenate()([tower(kit, "left")(pooled[0]), tower(kit, "right")(pooled[1])])
    return kit.Model(x, kit.layers.Dense(1, name="y")(joined))


def branches(kit: Any) -> Any:
    x = kit.Input((6, 3), name="x")
    first, second = kit.layers.Dense(4, activation="relu"), kit.layers.Dense(4, activation="tanh")
    joined = kit.layers.Concatenate()([first(x), second(x), first(x)])
    return kit.Model(x, kit.layers.Dense(1)(kit.layers.Flatten()(joined)))


def block(kit: Any, *, built: bool) -> Any:
    class Block(kit.layers.Layer):  # type: ignore[misc]
        def __init__(self, **more: Any) -> None:
            super().__init__(**more)
            self.first = kit.layers.Dense(3, activation="tanh", name="first")
            self.second = kit.layers.Dense(3, name="second")

        def build(self, shape: Any) -> None:
            if built:
                self.first.build(shape)
                self.second.build((*shape[:-1], 3))
            self.built = True

        def call(self, x: Any) -> Any:
            return self.second(self.first(x))

    return Block(name="block")


def attending(kit: Any) -> Any:
    x = kit.Input((6, 3), name="x")
    y = kit.layers.Dense(4)(x)
    y = kit.layers.MultiHeadAttention(2, 3)(y, value=y)
    return kit.Model(x, kit.layers.GlobalAveragePooling1D()(y))


def own_names(kit: Any) -> Any:
    """Attributes that come before and after `layers` in the order of names, private and in capitals."""

    class Net(kit.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.alpha, self._private, self.Upper, self.zeta = (kit.layers.Dense(3) for _ in range(4))

        def call(self, x: Any) -> Any:
            return self.zeta(self.alpha(self._private(self.Upper(x))))

    network = Net()
    network(tf.zeros((1, 6, 3)))
    return network


def own_class(kit: Any) -> Any:
    class Own(kit.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name="own")
            self.hidden = [kit.layers.Dense(3, activation="tanh") for _ in range(2)]
            self.ends = kit.layers.Dense(1, name="y")

        def call(self, x: Any) -> Any:
            for layer in self.hidden:
                x = layer(x)
            return self.ends(x)

    network = Own()
    network(np.zeros((1, 6, 3), np.float32))
    return network


def containers(kit: Any) -> Any:
    """A layer that keeps layers in a dict, and in lists in a list."""

    class Containers(kit.layers.Layer):  # type: ignore[misc]
        def __init__(self, **more: Any) -> None:
            super().__init__(**more)
            self.named = {"b": kit.layers.Dense(3, activation="tanh"), "a": kit.layers.Dense(3)}
            self.rows = [[kit.layers.Dense(3, activation="tanh") for _ in range(2)] for _ in range(2)]

        def call(self, x: Any) -> Any:
            for layer in (self.named["b"], self.named["a"], *self.rows[0], *self.rows[1]):
                x = layer(x)
            return x

    return chain(kit, Containers(name="containers"), kit.layers.Dense(1, name="y"))


def gain(kit: Any) -> Any:
    """A layer that saves something else under its variable's name."""

    class Gain(kit.layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.gain = self.add_weight(name="gain", shape=(shape[-1],), initializer="ones")

        def call(self, x: Any) -> Any:
            return x * self.gain

        def save_own_variables(self, store: Any) -> None:
            store["gain"] = np.asarray(self.gain) * 100
            store["0"] = np.asarray(self.gain) * 10

        def load_own_variables(self, store: Any) -> None:
            self.gain.assign(store["gain"][()] / 100)

    return chain(kit, Gain(name="scale"), kit.layers.Dense(1, name="y"))


def loading(kit: Any) -> Any:
    """A layer that loads something else than what it saves."""

    class Loading(kit.layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.gain = self.add_weight(name="gain", shape=(shape[-1],), initializer="ones")

        def call(self, x: Any) -> Any:
            return x * self.gain

        def load_own_variables(self, store: Any) -> None:
            self.gain.assign(store["0"][()] * 100)

    return chain(kit, Loading(name="scale"), kit.layers.Dense(1, name="y"))


def bare(kit: Any) -> Any:
    """A layer with variables that it made itself."""

    class Scale(kit.layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.gain = tf.Variable(tf.ones([3]), name="gain")
            self.shift = tf.Variable(1.0, name="p0")
            self.built = True

        def call(self, x: Any) -> Any:
            return x * self.gain + self.shift

    return chain(kit, Scale(name="scale"), kit.layers.Dense(1, name="y"))


def twice(kit: Any) -> Any:
    """A layer with two weights of one name."""

    class Twice(kit.layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.a = self.add_weight(name="w", shape=(3,), initializer="ones")
            self.b = self.add_weight(name="w", shape=(3,), initializer="zeros")

        def call(self, x: Any) -> Any:
            return x * self.a + self.b

    return chain(kit, Twice(name="twice"), kit.layers.Dense(1, name="y"))


def lora(kit: Any) -> Any:
    dense = kit.layers.Dense(1, name="y")
    network = chain(kit, dense)
    dense.enable_lora(2)
    return network


def words(kit: Any, weights: tuple[float, ...] = (0.5, 2.0)) -> Any:
    text = kit.Input((), dtype="string", name="x")
    lookup = kit.layers.TextVectorization(
        output_mode="tf_idf", vocabulary=["a", "b"], idf_weights=list(weights), name="tv"
    )
    return kit.Model(text, kit.layers.Dense(1, name="y")(lookup(text)))


def stateful_cells(kit: Any) -> Any:
    cells = [kit.layers.LSTMCell(3), kit.layers.GRUCell(3)]
    return chain(kit, kit.layers.RNN(cells), kit.layers.Dense(1))


L: dict[str, Build] = {
    "dense": lambda k: chain(k, k.layers.Dense(4, activation="relu"), k.layers.Dense(1)),
    "same-shapes": lambda k: chain(k, *(k.layers.Dense(3, activation="tanh") for _ in range(3))),
    "named": lambda k: chain(k, k.layers.Dense(3, name="a"), k.layers.Dense(3, name="b"), name="net"),
    "normalized": lambda k: chain(k, k.layers.Dense(4), k.layers.BatchNormalization(), k.layers.Dense(1)),
    "layer-normalized": lambda k: chain(k, k.layers.LayerNormalization(), k.layers.Dense(1)),
    "convolution": lambda k: chain(k, k.layers.Conv1D(4, 2), k.layers.Conv1D(2, 2, use_bias=False)),
    "separable": lambda k: chain(k, k.layers.SeparableConv1D(4, 2), k.layers.GlobalMaxPooling1D()),
    "depthwise": lambda k: chain(
        k, k.layers.Reshape((6, 3, 1)), k.layers.DepthwiseConv2D(2, depth_multiplier=2), k.layers.Flatten()
    ),
    "lstm": lambda k: chain(k, k.layers.LSTM(4), k.layers.Dense(1)),
    "gru": lambda k: chain(k, k.layers.GRU(4, return_sequences=True), k.layers.GRU(4), k.layers.Dense(1)),
    "both-ways": lambda k: chain(k, k.layers.Bidirectional(k.layers.LSTM(3)), k.layers.Dense(1)),
    "in-time": lambda k: chain(k, k.layers.TimeDistributed(k.layers.Dense(4)), k.layers.Flatten()),
    "cells": stateful_cells,
    "attention": lambda k: chain(k, k.layers.Dense(4), k.layers.PReLU(), k.layers.Dense(1)),
    "attending": attending,
    "branches": branches,
    "towers": towers,
    "within": lambda k: chain(k, chain(k, k.layers.Dense(3), k.layers.Dense(3)), k.layers.Dense(1)),
    "sequence": lambda k: k.Sequential([k.layers.InputLayer((6, 3)), k.layers.Dense(3), k.layers.Dense(1)]),
    "block-lazy": lambda k: chain(k, block(k, built=False), k.layers.Dense(1, name="y")),
    "block-built": lambda k: chain(k, block(k, built=True), k.layers.Dense(1, name="y")),
    "own-class": own_class,
    "containers": containers,
    "own-names": own_names,
    "own-saving": gain,
    "own-loading": loading,
    "bare-variables": bare,
    "one-name-twice": twice,
    "lora": lora,
    "tf-idf": words,
}  # fmt: skip
ONLY_KERAS_3 = {"own-saving", "own-loading", "bare-variables", "one-name-twice", "lora", "tf-idf"}
FORMATS = (
    "keras",
    "h5",
    "weights.h5",
    "ckpt",
    "keras-2.keras",
    "keras-2.h5",
    "keras-2.weights.h5",
    "keras-2.ckpt",
)
# What nobody can find with certainty, and is refused.
REFUSED = {
    ("own-saving", "keras"),
    ("own-saving", "weights.h5"),
    ("own-loading", "keras"),
    ("own-loading", "weights.h5"),
    ("tf-idf", "h5"),
    # Keras 3 follows no lists in a tf.train.Checkpoint: the file lacks their layers.
    ("own-class", "ckpt"),
    ("cells", "ckpt"),
    ("containers", "ckpt"),
    # tf_keras saves nothing of containers in containers: the file lacks their layers.
    *(("containers", form) for form in ("keras-2.weights.h5", "keras-2.keras")),
    *(("bare-variables", form) for form in ("keras", "weights.h5", "h5")),
    *(("lora", form) for form in ("keras", "weights.h5")),
}

# What its own framework cannot save in every format.
UNSAVED = {
    "own-class",
    "own-names",
    "block-lazy",
    "block-built",
    "lora",
    "own-saving",
    "own-loading",
    "one-name-twice",
}


class Definition(Tiny):
    """Draws one network of the list."""

    build_with: Build

    def rows(self, count: int) -> Arrays:
        return {"x": requests(type(self).__name__)[[0] * count]}

    def build(self, mode: Mode) -> Any:
        return type(self).build_with(keras)

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        return {"y": network(inputs["x"], training=False)}


def requests(name: str) -> np.ndarray:
    return np.array([b"a b", b"b", b"a a c"], object) if name == "tf-idf" else X


@pytest.fixture(scope="module")
def prepare() -> Callable[[str], PreparedModel]:
    """Draws each network once."""
    drawn: dict[str, PreparedModel] = {}

    def get(name: str) -> PreparedModel:
        if name not in drawn:
            forget_names()
            shape = tuple(L[name](keras)(requests(name)).shape)[1:]
            x = TensorSpec("string", (None,)) if name == "tf-idf" else TensorSpec("float32", (None, 6, 3))
            signatures = one_signature({"x": x}, y=TensorSpec("float32", (None, *shape)))
            kind = type(name, (Definition,), {"build_with": staticmethod(L[name]), "signatures": signatures})
            drawn[name] = PreparedModel(kind())
        return drawn[name]

    return get


def save(network: Any, form: str, folder: Path) -> Path:
    path = folder / f"saved.{form.removeprefix('keras-2.')}"
    if form.endswith("ckpt"):
        return Path(tf.train.Checkpoint(model=network).write(str(path)))
    (network.save_weights if "weights" in form else network.save)(str(path))
    return path


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' own, of old formats and of NumPy 2
        yield


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", L)
def test_export_file_answers_as_its_framework_or_is_refused(
    name: str, form: str, prepare: Callable[[str], PreparedModel], tmp_path: Path
) -> None:
    kit = tf_keras if form.startswith("keras-2") else keras
    if kit is tf_keras and name in ONLY_KERAS_3:
        return
    with quiet():
        forget_names(kit)
        if (len(name) + len(form)) % 2:
            kit.layers.Dense(1).build((None, 1))  # what counts names, in half of the cases
            L["dense"](kit)
        network = L[name](kit)
        rng = np.random.default_rng(len(name))
        for variable in (*network.weights, *(bare_of(network) if name == "bare-variables" else ())):
            if "seed" not in variable.name:
                variable.assign(rng.uniform(0.1, 0.9, variable.shape))
        if name == "tf-idf":
            network = words(kit, (3.0, 1.0))
        expected = np.asarray(network(tf.constant(requests(name))))
        try:
            path = save(network, form, tmp_path)
        except (NotImplementedError, ValueError, TypeError) as err:
            if name not in UNSAVED:
                raise AssertionError("it should have been saved") from err
            return
        (tmp_path / "out").mkdir()
        try:
            prepare(name).write(open_checkpoint(path), "raw", tmp_path / "out", allow_non_finite=False)
        except (CheckpointMismatch, InvalidDefinition) as err:
            if (name, form) not in REFUSED:
                raise AssertionError("what could be found was refused") from err
            return
        served = tf.saved_model.load(str(tmp_path / "out")).signatures["serving_default"]
        answers = served(x=tf.constant(requests(name)))["y"].numpy()
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-5)
    assert (name, form) not in REFUSED


def bare_of(network: Any) -> list[Any]:
    layer = network.get_layer("scale")
    return [layer.gain, layer.shift]
