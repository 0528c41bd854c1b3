"""State that a signature reaches: a variable of the network, a table that is filled, or it is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from redraw.definition import GraphFunctionDefinition, Mode, ModelDefinition, TensorSpec
from redraw.errors import InvalidDefinition
from redraw.export.graph.drawing import draw_graph
from redraw.networks.modules import demand_trainable, draw_network, trainable_weights, weights_by_name
from tests.defects.tiny import Arrays, Tensors, Tiny, normal, one_signature

v1 = tf.compat.v1
Y = TensorSpec("float32", (None, 1))
KEYS, VALUES = ["a", "b", "c"], [1, 2, 3]


def static() -> Any:
    filling = tf.lookup.KeyValueTensorInitializer(KEYS, tf.constant(VALUES, tf.int64))
    return tf.lookup.StaticHashTable(filling, 0)


class Words(Tiny):
    """Looks words up outside of its network."""

    signatures = one_signature({"word": TensorSpec("string", (None,))}, y=Y)

    def __init__(self, look: Callable[[Any], Any]) -> None:
        self.look = look

    def rows(self, count: int) -> Arrays:
        return {"word": np.array([b"a", b"b"] * count, object)[:count]}

    def build(self, mode: Mode) -> Any:
        number = keras.Input([], dtype="int64")
        return keras.Model(number, keras.layers.Dense(1)(keras.layers.Embedding(4, 3)(number)))

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        return {"y": network(self.look(inputs["word"]), training=False)}


def outside(kind: str) -> Callable[[Any], Any]:
    lookup = keras.layers.StringLookup(vocabulary=KEYS)
    lengths = keras.layers.IntegerLookup(vocabulary=[7, 8, 9])
    table, changing = static(), tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
    return {
        "string": lookup,
        "integer": lambda words: lengths(tf.strings.length(words)),
        "table": table.lookup,
        "changing": lambda words: tf.ensure_shape(changing.lookup(words), [None]),
        "made-in-serve": lambda words: keras.layers.StringLookup(vocabulary=KEYS)(words),
    }[kind]


@pytest.mark.parametrize("kind", ["string", "integer", "table", "changing", "made-in-serve"])
def test_draw_table_that_the_network_does_not_hold_is_refused(kind: str) -> None:
    with pytest.raises(InvalidDefinition, match="that the network does not track"):
        draw_graph(Words(outside(kind)))


class Graph(GraphFunctionDefinition, Tiny):
    """A graph with a table."""

    signatures = one_signature({"word": TensorSpec("string", (None,))}, y=Y)
    training_only = ("*",)

    def __init__(self, table: Callable[[], Any]) -> None:
        self.table = table

    def rows(self, count: int) -> Arrays:
        return {"word": np.array([b"a", b"b"] * count, object)[:count]}

    def graph(self, mode: Mode, features: Any) -> Any:
        return tf.gather(v1.get_variable("vectors", [4, 1]), self.table().lookup(features["word"]))


def changing(kind: str, *, filled: bool = False) -> Any:
    if kind == "dense":
        table: Any = tf.lookup.experimental.DenseHashTable(
            tf.string, tf.int64, 0, empty_key="", deleted_key="-"
        )
    else:
        table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
    if filled:
        v1.add_to_collection(
            v1.GraphKeys.TABLE_INITIALIZERS, table.insert(KEYS, tf.constant(VALUES, tf.int64))
        )
    return table


def unfilled() -> Any:
    table = static()
    v1.get_collection_ref(v1.GraphKeys.TABLE_INITIALIZERS).clear()
    return table


@pytest.mark.parametrize(
    "table",
    [
        lambda: changing("mutable"),
        lambda: changing("dense"),
        lambda: changing("mutable", filled=True),
        unfilled,
    ],
)
def test_draw_graph_with_a_table_that_nothing_fills_is_refused(table: Callable[[], Any]) -> None:
    with pytest.raises(InvalidDefinition, match="would be served empty"):
        draw_graph(Graph(table))


def test_draw_graph_with_a_filled_table_keeps_it() -> None:
    nodes = {node.op for node in draw_graph(Graph(static)).meta_graph.graph_def.node}
    assert {"HashTableV2", "LookupTableImportV2"} <= nodes


class Rows(Tiny):
    """Draws what it is given."""

    signatures = one_signature({"x": TensorSpec("float32", (None, 4))}, y=Y)

    def __init__(self, draw: Callable[[], Any]) -> None:
        self.draw = draw

    def rows(self, count: int) -> Arrays:
        return {"x": normal(count, 4)}

    def build(self, mode: Mode) -> Any:
        return self.draw()

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        return {"y": network(inputs["x"])}


class Scale(keras.layers.Layer):
    """A layer with a variable that Keras does not know."""

    def __init__(self, *, trainable: bool) -> None:
        super().__init__(name="scale")
        self.gain = tf.Variable(tf.ones([4]), name="gain", trainable=trainable)

    def call(self, x: Any) -> Any:
        return x * self.gain


class Hidden(keras.Model):
    """A model with its layers in a set."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = {keras.layers.Dense(4) for _ in range(2)}

    def call(self, x: Any) -> Any:
        for layer in self.hidden:
            x = layer(x)
        return x


def scaled(*, trainable: bool) -> Any:
    x = keras.Input([4])
    return keras.Model(x, keras.layers.Dense(1)(Scale(trainable=trainable)(x)))


def hidden() -> Any:
    network = Hidden()
    network(tf.ones([1, 4]))
    return network


class Holder(tf.Module):
    """A module with a layer of Keras."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.dense.build((None, 4))
        self.gain = tf.Variable(2.0)

    def __call__(self, x: Any) -> Any:
        return self.dense(x) * self.gain


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: scaled(trainable=True), "scale/gain.*add_weight"),
        (hidden, "Assign each layer that holds them to an attribute"),
    ],
)
def test_demand_trainable_weights_that_training_would_lose_are_refused(
    draw: Callable[[], Any], message: str
) -> None:
    with pytest.raises(InvalidDefinition, match=message):
        demand_trainable(draw())


def test_demand_trainable_variable_that_stays_as_it_is_passes() -> None:
    demand_trainable(scaled(trainable=False))


def test_weights_of_a_module_with_layers_of_keras_are_all_trained_and_served() -> None:
    network = draw_network(Rows(Holder), Mode.TRAIN)
    assert len(trainable_weights(network)) == 3
    drawn = draw_graph(Rows(Holder))
    assert sorted(v.name for v in drawn.variables) == ["dense/_kernel", "dense/bias", "gain"]
    assert weights_by_name(network).keys() == {v.name for v in drawn.variables}


class Adapted(tf.Module):
    """A module with a layer that keeps constants of its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = keras.layers.Normalization()
        self.norm.build((None, 4))
        self.ends = tf.Variable(tf.ones([4, 1]))

    def __call__(self, x: Any) -> Any:
        return self.norm(x) @ self.ends


def test_draw_module_with_a_normalization_reads_its_weights() -> None:
    names = {variable.name for variable in draw_graph(Rows(Adapted)).variables}
    assert names == {"ends", "norm/adapt_mean", "norm/adapt_variance"}


def compiled(x: Any, network: Any) -> Any:
    return tf.function(network, jit_compile=True)(x)


class Compiled(Rows):
    """Has XLA compile its network."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        return {"y": compiled(inputs["x"], network)}


def test_draw_function_that_xla_is_to_compile_leaves_no_note_of_it() -> None:
    definition: ModelDefinition = Compiled(
        lambda: keras.Sequential([keras.Input([4]), keras.layers.Dense(1)])
    )
    assert b"_Xla" not in draw_graph(definition).meta_graph.SerializeToString()


def test_read_declared_variable_after_drawing_is_refused() -> None:
    from redraw.export.graph.declared import Declarations

    network: Any = draw_network(Rows(lambda: scaled(trainable=False)), Mode.SERVE, Declarations().in_force())
    with pytest.raises(InvalidDefinition, match="got a read outside of both"), contextlib.suppress(TypeError):
        network.get_layer("dense").kernel.numpy()
    network.get_layer("dense").kernel.assign(np.ones([4, 1], np.float32))
    assert network.get_layer("dense").kernel.numpy().sum() == 4
