"""Files of Keras 2 whose order or names are not those of Keras 3: equal answers, or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from redraw.checkpoint.formats.source import open_checkpoint
from redraw.definition import TensorSpec
from redraw.errors import CheckpointMismatch
from redraw.export.prepared import PreparedModel
from tests.defects.tiny import one_signature
from tests.foreign.test_answers import Definition, X, chain, quiet, save
from tests.kits import forget_names

Build = Callable[[Any], Any]
SAVED = ("keras-2.keras", "keras-2.weights.h5", "keras-2.h5-weights", "keras-2.ckpt")
IN_HDF5 = SAVED[:2]
BASES = ("model", "layer")


def dense(k: Any, **more: Any) -> Any:
    return k.layers.Dense(3, activation="tanh", **more)


def leaves(held: Any) -> Iterator[Any]:
    if isinstance(held, dict):
        held = [held[key] for key in sorted(held, reverse=True)]
    if isinstance(held, list | tuple):
        for item in held:
            yield from leaves(item)
    else:
        yield held


# Sets attributes of a layer or model, and says what it calls.
Fill = Callable[[Any, Any], Callable[[], Any]]


def holding(base: str, fill: Fill) -> Build:
    """A model or a layer of a class of its own."""

    def build(k: Any) -> Any:
        class Own(k.Model if base == "model" else k.layers.Layer):  # type: ignore[misc]
            def __init__(self, **more: Any) -> None:
                super().__init__(**more)
                self.called = fill(self, k)

            def call(self, x: Any) -> Any:
                for layer in leaves(self.called()):
                    x = layer(x)
                return x

        if base == "layer":
            return chain(k, Own(name="own"), k.layers.Dense(1, name="y"))
        network = Own()
        network(np.zeros((1, 6, 3), np.float32))
        return network

    return build


def held(make: Callable[[Any], Any]) -> Fill:
    def fill(own: Any, k: Any) -> Callable[[], Any]:
        own.blocks = make(k)
        return lambda: own.blocks

    return fill


def set_late(own: Any, k: Any) -> Callable[[], Any]:
    own.first, own.head = None, dense(k)
    own.first = dense(k)
    return lambda: [own.first, own.head]


def filled_late(own: Any, k: Any) -> Callable[[], Any]:
    own.blocks, own.head = [], dense(k)
    own.blocks += [dense(k), dense(k)]
    return lambda: [own.blocks, own.head]


def shared(own: Any, k: Any) -> Callable[[], Any]:
    first, second, third = dense(k), dense(k), dense(k)
    own.blocks, own.b, own.z = {"q": first, "a": second, "t": third}, [third, first], second
    return lambda: own.blocks


def with_weights(own: Any, k: Any) -> Callable[[], Any]:
    own.gain = own.add_weight(name="gain", shape=(3,), initializer="ones")
    own.blocks = {"z": dense(k), "a": dense(k)}
    return lambda: [own.blocks["z"], lambda x: x * own.gain, own.blocks["a"]]


def bare(own: Any, k: Any) -> Callable[[], Any]:
    """Variables that a layer made itself, under another name than their attributes'."""
    own.a, own.first = tf.Variable(tf.ones(3), name="factor"), dense(k)
    own.b = tf.Variable(tf.ones(3), name="summand", trainable=False)
    return lambda: [lambda x: x * own.a, own.first, lambda x: x + own.b]


def unassigned(own: Any, k: Any) -> Callable[[], Any]:
    gain, shift = (own.add_weight(name=name, shape=(3,), initializer="ones") for name in ("gain", "shift"))
    own._blocks = [dense(k), dense(k)]
    return lambda: [own._blocks, lambda x: x * gain + shift]


def part_frozen(own: Any, k: Any) -> Callable[[], Any]:
    """One of several parts that Keras 2 did not train: its weights stand behind those of the others."""
    own.a, own.b, own.c = dense(k, name="n"), k.layers.BatchNormalization(), dense(k, name="m")
    own.a.trainable = k is keras
    return lambda: [own.a, own.b, own.c]


def first_part_frozen(own: Any, k: Any) -> Callable[[], Any]:
    own.a, own.b = dense(k), dense(k)
    own.a.trainable = k is keras
    return lambda: [own.a, own.b]


def models(own: Any, k: Any) -> Callable[[], Any]:
    own.blocks = [k.Sequential([dense(k), dense(k)]), k.Sequential([dense(k)])]
    return lambda: own.blocks


def both(forward: Callable[[Any], Any], backward: Callable[[Any], Any], *after: str, **more: Any) -> Build:
    def build(k: Any) -> Any:
        layer = k.layers.Bidirectional(forward(k.layers), backward_layer=backward(k.layers), **more)
        return chain(k, layer, *(getattr(k.layers, kind)() for kind in after))

    return build


def frozen(k: Any) -> Any:
    """A model whose inner one Keras 2 did not train: its weights stand in another order."""
    i, x = k.Input((6, 3)), k.Input((6, 3), name="x")
    y = k.layers.BatchNormalization()(dense(k)(k.layers.BatchNormalization()(dense(k)(i))))
    inner = k.Model(i, y)
    inner.trainable = k is keras
    return k.Model(x, k.layers.Dense(1)(inner(x)))


def apart(k: Any) -> Any:
    x = k.Input((6, 3), name="x")
    layers = k.layers.LSTM(4), k.layers.GRU(4, go_backwards=True)
    ends = k.layers.Bidirectional(layers[0], backward_layer=layers[1], merge_mode=None)(x)
    return k.Model(x, k.layers.Subtract()([dense(k)(end) for end in ends]))


def units(k: Any) -> Any:
    """Other units each way, whose shape only a class with a call of its own leaves to the layer."""

    def make(k: Any) -> Any:
        return k.layers.Bidirectional(k.layers.LSTM(4), backward_layer=k.layers.GRU(2, go_backwards=True))

    return holding("model", held(make))(k)


LISTS: dict[str, Callable[[Any], Any]] = {
    "lists": lambda k: [[dense(k), dense(k)], [dense(k)]],
    "dict": lambda k: {"b": dense(k), "a": dense(k)},
    "dict-of-lists": lambda k: {"b": [dense(k), dense(k)], "a": [dense(k)]},
    "list-of-dicts": lambda k: [{"b": dense(k), "a": dense(k)}, {"c": dense(k)}],
    "tuples": lambda k: ((dense(k), dense(k)), [dense(k)]),
}
FILLS = {name: held(make) for name, make in LISTS.items()} | {
    fill.__name__: fill
    for fill in (
        set_late,
        filled_late,
        shared,
        with_weights,
        models,
        bare,
        unassigned,
        part_frozen,
        first_part_frozen,
    )
}
L: dict[str, Build] = {
    **{f"{base}-{name}": holding(base, fill) for base in BASES for name, fill in FILLS.items()},
    "both-lstm": both(lambda k: k.LSTM(4), lambda k: k.LSTM(4, go_backwards=True)),
    "both-named": both(lambda k: k.GRU(4, name="z"), lambda k: k.GRU(4, go_backwards=True, name="b")),
    "both-kinds": both(lambda k: k.LSTM(4), lambda k: k.GRU(4, go_backwards=True), merge_mode="mul"),
    "both-cells": both(
        lambda k: k.RNN([k.LSTMCell(4), k.GRUCell(2)]),
        lambda k: k.RNN([k.GRUCell(3), k.GRUCell(2)], go_backwards=True),
    ),
    "both-apart": apart,
    "frozen": frozen,
    "both-units": units,
}  # fmt: skip
# Both HDF5 forms have one walk.
CASES = [(name, form) for n, name in enumerate(L) for form in (IN_HDF5[n % 2], *SAVED[2:])]
# What Keras 2 leaves out of the file, or puts where nobody can tell.
REFUSED = {
    **{(f"layer-{name}", form): "or dicts of lists" for name in LISTS if name != "dict" for form in IN_HDF5},
    **{("model-filled_late", form): "no place that is certain" for form in IN_HDF5},
    **{(f"{base}-bare", form): "Keras does not save these variables" for base in BASES for form in IN_HDF5},
    ("layer-first_part_frozen", SAVED[2]): "lists trainable variables first",
}


@pytest.fixture(scope="module")
def prepare() -> Callable[[str], PreparedModel]:
    drawn: dict[str, PreparedModel] = {}

    def get(name: str) -> PreparedModel:
        if name not in drawn:
            forget_names()
            shape = tuple(L[name](keras)(X).shape)[1:]
            y = TensorSpec("float32", (None, *shape))
            signatures = one_signature({"x": TensorSpec("float32", (None, 6, 3))}, y=y)
            kind = type(name, (Definition,), {"build_with": staticmethod(L[name]), "signatures": signatures})
            drawn[name] = PreparedModel(kind())
        return drawn[name]

    return get


def saved(network: Any, form: str, folder: Path) -> Path:
    if not form.endswith("h5-weights"):
        return save(network, form, folder)
    network.save_weights(str(folder / "saved.h5"), save_format="h5")
    return folder / "saved.h5"


@pytest.mark.parametrize(("name", "form"), CASES)
def test_export_file_of_keras_2_answers_as_it_or_is_refused(
    name: str, form: str, prepare: Callable[[str], PreparedModel], tmp_path: Path
) -> None:
    with quiet():
        tf_keras.backend.clear_session()
        if (len(name) + len(form)) % 2:
            dense(tf_keras).build((None, 1))  # what counts names, in half of the cases
        network, rng = L[name](tf_keras), np.random.default_rng(len(name))
        for variable in network.weights:
            variable.assign(rng.uniform(-0.9, 0.9, variable.shape))
        expected, path = np.asarray(network(tf.constant(X))), saved(network, form, tmp_path)
        (tmp_path / "out").mkdir()
        try:
            prepare(name).write(open_checkpoint(path), "raw", tmp_path / "out", allow_non_finite=False)
        except CheckpointMismatch as err:
            assert REFUSED.get((name, form), "not at all") in str(err)  # noqa: PT017
            assert "Save the trained model again" in str(err)  # noqa: PT017
            return
        served = tf.saved_model.load(str(tmp_path / "out")).signatures["serving_default"]
        np.testing.assert_allclose(served(x=tf.constant(X))["y"], expected, rtol=1e-4, atol=1e-5)
    assert (name, form) not in REFUSED
