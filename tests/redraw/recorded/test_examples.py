"""Requests that are made up for a recording: what it looks up is in its tables."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.definition import Signature, TensorSpec
from redraw.recorded.examples import generate_request
from redraw.recorded.graph import Graph
from redraw.recorded.variables import find_saved

tf1 = tf.compat.v1
ROWS = 300


@pytest.fixture(scope="module")
def redrawn() -> Any:
    """A graph that looks numbers up in tables of several kinds."""
    with tf.Graph().as_default() as drawn:

        def given(name: str, dtype: tf.DType = tf.int32) -> Any:
            return tf1.placeholder(dtype, [None], name)

        table = tf1.get_variable("table", [6, 2], use_resource=True)
        old = tf1.get_variable("old", [7, 2], use_resource=False)
        parts = [
            tf.gather(table, given("gathered")),
            tf.gather(tf.identity(old), tf.cast(tf.reshape(given("reshaped"), [-1]), tf.int64)),
            tf.gather(tf.constant(np.zeros((5, 2), np.float32)), given("constant")),
            tf.one_hot(given("one_hot", tf.int64), 4),
            tf.cast(given("counted"), tf.float32),
        ]
        both = given("both")
        parts += [tf.gather(table, both), tf.one_hot(both, 3)]
        tf.concat([tf.reduce_sum(tf.reshape(part, [-1]), keepdims=True) for part in parts], 0, "answer")
    graph = Graph(drawn.as_graph_def().node, {}, "a test")
    for name, node in graph.nodes.items():
        if node.op == "Const":
            graph.shapes[f"{name}:0"] = tuple(tf.make_ndarray(node.attr["value"].tensor).shape)
    places = [node.name for node in graph.nodes.values() if node.op == "Placeholder"]
    return SimpleNamespace(
        graph=graph,
        inputs={name: f"{name}:0" for name in places},
        outputs={"answer": "answer:0"},
        variables=find_saved(graph, tf1.train.SaverDef(), ["table", "old"]),
    )


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("gathered", 6),
        ("reshaped", 7),
        ("constant", 5),
        ("one_hot", 4),
        ("counted", 10),
        ("both", 3),
    ],
)
@pytest.mark.parametrize("dtype", ["int64", "int8"])
def test_generate_request_has_every_number_of_the_smallest_table(
    name: str, size: int, dtype: str, redrawn: Any
) -> None:
    signature = Signature(inputs={name: TensorSpec(dtype, (None,))}, outputs={})
    values = generate_request(redrawn, signature, ROWS)[name]
    assert (values.dtype, values.shape) == (np.dtype(dtype), (ROWS,))
    assert sorted(set(values.tolist())) == [*range(size)]


def test_generate_request_of_every_kind_is_the_same_each_time(redrawn: Any) -> None:
    specs = {
        dtype: TensorSpec(dtype, (None, None, 2)) for dtype in ("float32", "bool", "string", "complex64")
    }
    signature = Signature(inputs={**specs, "renamed": TensorSpec("int32", (None,))}, outputs={})
    request = generate_request(redrawn, signature, ROWS, cuts={"renamed": "one_hot"})
    again = generate_request(redrawn, signature, ROWS, cuts={"renamed": "one_hot"})
    assert {name: values.shape for name, values in request.items()} == {
        **dict.fromkeys(sorted(specs), (ROWS, 7, 2)),
        "renamed": (ROWS,),
    }
    assert all(np.array_equal(again[name], values) for name, values in request.items())
    floats, numbers = request["float32"], request["complex64"]
    assert (floats.dtype, numbers.dtype, request["bool"].dtype) == (np.float32, np.complex64, np.bool_)
    assert 0.9 < floats.std() < 1.1
    assert abs(floats.mean()) < 0.1
    assert 0.9 < numbers.imag.std() < 1.1
    assert 0.4 < request["bool"].mean() < 0.6
    assert set(request["string"].ravel()) == {b"a", b"b", b"the", b"of", b"word", b""}
    assert set(request["renamed"]) == {0, 1, 2, 3}
    other = Signature(inputs={"other": TensorSpec("float32", (None, None, 2))}, outputs={})
    assert not np.array_equal(generate_request(redrawn, other, ROWS)["other"], floats)
