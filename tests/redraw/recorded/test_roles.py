"""What a graph is given and what it answers, found in graphs of a few operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from redraw.recorded.graph import Graph
from redraw.recorded.heads import is_gradient
from redraw.recorded.roles import Roles, find_roles

tf1 = tf.compat.v1


def given(name: str, shape: list[int | None] | None, dtype: tf.DType = tf.float32) -> Any:
    return tf1.placeholder(dtype, shape, name)


def dense(x: Any, size: int, name: str) -> Any:
    return tf.matmul(x, tf1.get_variable(name, [int(x.shape[-1]), size], use_resource=True))


def roles_of(draw: Callable[[], object], *outputs: str) -> Roles:
    with tf.Graph().as_default() as drawn:
        draw()
    return find_roles(Graph(drawn.as_graph_def().node, {}, "a test"), outputs)


def sources(roles: Roles) -> dict[str, str]:
    return {source.tensor: source.role for source in roles.sources}


def outputs(roles: Roles) -> list[tuple[str, int]]:
    return [(output.tensor, output.rank) for output in roles.outputs]


def classifier() -> None:
    x, label, keep = given("x", [None, 4]), given("label", [None], tf.int64), given("keep", [])
    training, temperature = given("is_training", [], tf.bool), given("temperature", [])
    count = given("count", [], tf.int32)
    given("unused", [None, 4])
    hidden = tf.where(training, x * tf.floor(keep + tf.random.uniform(tf.shape(x))) / keep, x)
    logits = tf.reshape(dense(hidden * temperature, 6, "kernel"), [-1, 3], "logits")
    tf.nn.softmax(logits[:count], name="probabilities")
    tf.identity(tf.argmax(logits, 1, name="best"), name="deep/best")
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(label, tf.reshape(logits, [-1, 3]), "loss")
    tf.identity(loss, name="shown")
    rate = given("rate", [])
    tf1.train.GradientDescentOptimizer(tf.identity(rate)).minimize(loss)


def test_sources_are_data_labels_flags_and_numbers_each_with_its_evidence() -> None:
    roles = roles_of(classifier)
    assert {source.tensor: (source.role, source.evidence) for source in roles.sources} == {
        "x:0": ("data", "leads to the outputs, and to no label"),
        "label:0": ("label", "is the label of a loss"),
        "keep:0": ("keep rate", "is combined with random numbers in 'add'"),
        "is_training:0": ("flag", "a bool, read by SelectV2"),
        "temperature:0": ("number", "one number for all rows"),
        "count:0": ("number", "one number for all rows"),
        "rate:0": ("rate", "is the learning rate of ResourceApplyGradientDescent"),
    }
    assert roles.of("label") == [roles.sources[1]]
    assert [(output.tensor, output.rank, output.evidence) for output in roles.outputs] == [
        ("probabilities:0", 4, "Softmax of the logits, without the label"),
        ("best:0", 3, "ArgMax of the logits, without the label"),
        ("logits:0", 2, "Reshape of the logits, without the label"),
        ("Reshape:0", 2, "Reshape of the logits, without the label"),
        ("MatMul:0", 1, "is the logits of a loss or a softmax"),
        ("deep/best:0", 1, "Identity of the logits, without the label"),
    ]
    asked = roles_of(classifier, "probabilities")
    assert (asked.sources, asked.outputs) == (roles.sources, ())


def dense_labels() -> None:
    x, label = given("x", [None, 4]), given("label", [None, 3])
    logits = dense(x, 3, "kernel")
    tf.nn.sigmoid(logits, name="likely")
    tf.exp(logits, name="head/predictions")
    tf.nn.softmax_cross_entropy_with_logits(label, logits, name="loss")


def spoken() -> None:
    x, label = given("x", [7, None, 4]), tf1.sparse_placeholder(tf.int32, name="label")
    logits = tf.reshape(dense(tf.reshape(x, [-1, 4]), 3, "kernel"), [7, -1, 3], name="logits")
    tf1.nn.ctc_loss(label, logits, given("lengths", [None], tf.int32))


def attention() -> None:
    x = given("x", [None, 4])
    weights = tf.nn.softmax(dense(x, 4, "query"), name="attention")
    tf.nn.softmax(dense(weights * x, 3, "kernel"), name="answer")


def without_a_loss() -> None:
    x, scale = given("x", [None, 4]), given("scale", [])
    bias = tf1.get_variable("bias", [3], use_resource=True)
    answer = tf.nn.bias_add(dense(x * scale, 3, "kernel"), bias, name="answer")
    tf1.summary.histogram("shown", x)
    tf.identity(answer, name="read")
    tf.nn.bias_add(answer, bias, name="nobody_reads")


def regression() -> None:
    x, label = given("x", [None, 4]), given("label", [None], tf.int32)
    answer = tf.squeeze(dense(x, 1, "kernel"), 1, name="answer")
    shown = tf.raw_ops.Print(input=answer, data=[x])
    tf.reduce_mean(tf.math.squared_difference(tf.cast(label, tf.float32), shown))


def by_hand() -> None:
    x, label = given("x", [None, 4]), given("label", [None], tf.int32)
    answer = tf.nn.softmax(dense(x, 3, "kernel"), name="answer")
    tf.reduce_mean(-tf.reduce_sum(tf.one_hot(label, 3) * tf.math.log(answer), 1))


def other_answers() -> None:
    """Two answers, of which only one has a loss that is known."""
    classifier()
    x = tf1.get_default_graph().get_tensor_by_name("x:0")
    tf.reduce_mean(tf.square(dense(x, 1, "second") - given("second_label", [None, 1])))


def autoencoder() -> None:
    x = given("x", [None, 4])
    tf.reduce_mean(tf.square(dense(x, 4, "kernel") - x))


def gated() -> None:
    x = given("x", [None, 4])
    tf.nn.sigmoid(dense(x, 4, "kernel") * x, name="answer")


def read() -> None:
    features = {"x": tf1.FixedLenFeature([4], tf.float32), "label": tf1.FixedLenFeature([], tf.int64)}
    parsed = tf1.parse_example(given("examples", [None], tf.string), features)
    tf.nn.sparse_softmax_cross_entropy_with_logits(parsed["label"], dense(parsed["x"], 3, "kernel"))


LABELLED = {"x:0": "data", "label:0": "label"}
PARSED = "ParseExample/ParseExampleV2"


@pytest.mark.parametrize(
    ("draw", "roles", "answers"),
    [
        (
            dense_labels,
            LABELLED,
            [("likely:0", 3), ("head/predictions:0", 2), ("MatMul:0", 1), ("loss/Reshape:0", 1)],
        ),
        (spoken, {"x:0": "data", "label/indices:0": "label"}, [("logits:0", 2), ("MatMul:0", 1)]),
        (attention, {"x:0": "data"}, [("answer:0", 4), ("MatMul_1:0", 1)]),
        (without_a_loss, {"x:0": "data", "scale:0": "number"}, [("nobody_reads:0", 1)]),
        (regression, {}, [("answer:0", 0)]),
        (by_hand, {"x:0": "data"}, [("answer:0", 4), ("MatMul:0", 1)]),
        (autoencoder, {}, [("MatMul:0", 0)]),
        (gated, {"x:0": "data"}, [("answer:0", 1)]),
        (read, {f"{PARSED}:0": "label", f"{PARSED}:1": "data"}, [("MatMul:0", 1)]),
    ],
)
def test_roles_of_graphs_of_many_kinds(
    draw: Callable[[], object], roles: dict[str, str], answers: list[tuple[str, int]]
) -> None:
    found = roles_of(draw)
    assert sources(found) == roles
    assert outputs(found) == answers


def test_outputs_next_to_another_that_meets_a_label_are_all_in_doubt() -> None:
    found = roles_of(other_answers).outputs
    assert {output.rank for output in found} == {0}
    assert [(output.tensor, output.evidence) for output in found][-1] == (
        "MatMul_1:0",
        "is compared with 'second_label:0', as an answer is with its label",
    )
    assert len(found) == 7


@pytest.mark.parametrize(
    ("name", "op", "gradient"),
    [
        ("gradients/mul", "Mul", True),
        ("layer/tanh", "TanhGrad", True),
        ("layer/shapes", "BroadcastGradientArgs", True),
        ("layer/mul", "Mul", False),
    ],
)
def test_is_gradient_by_its_operation_or_its_place(name: str, op: str, gradient: bool) -> None:
    assert is_gradient(Graph([node_def_pb2.NodeDef(name=name, op=op)], {}, "a test"), name) == gradient
