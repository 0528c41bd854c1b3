"""What training ran, by a recording of it: each operation and what it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from redraw.definition import TensorSpec
from redraw.validate.graph_diff.kinds import Kind
from redraw.validate.graph_diff.training import draw_training_graph
from redraw.validate.outcome import CannotRun
from tests.redraw.recorded.asking import definition_of
from tests.redraw.recorded.old_graphs import Recorded, era
from tests.sample_models.line_module import LineDefinition

tf1 = tf.compat.v1


def test_training_graph_of_a_recording_says_what_each_operation_is_for(tmp_path: Path) -> None:
    with era("resource", "v1"):
        lines = tf1.placeholder(tf.float32, [None, 5], "lines")
        x = tf.multiply(tf.tanh(lines, "scaled"), 2.0, "parsed")
        kernel = tf1.get_variable("kernel", [5, 3])
        logits = tf.matmul(x, kernel, name="logits")
        tf.nn.softmax(logits, name="probabilities")
        loss = tf.reduce_mean(tf.square(logits), name="loss")
        step = tf1.train.GradientDescentOptimizer(0.1).minimize(loss, name="descend")
        with tf1.control_dependencies([step]):
            tf.train.ExponentialMovingAverage(0.9).apply([kernel])
        tf1.train.Saver([kernel])
        tf1.train.export_meta_graph(str(tmp_path / "model.meta"))
    recorded = Recorded(meta=tmp_path / "model.meta", inputs={"x": "parsed"})
    graph = draw_training_graph(definition_of(recorded, asks={"x": TensorSpec("float32", (None, 5))}))
    kinds = {operation.top: kind for operation, kind in graph.operations}
    wanted = {
        Kind.INPUT: ["scaled"],
        Kind.NETWORK: ["parsed", "logits", "probabilities"],
        Kind.LOSS: ["Square", "loss", "descend/update_kernel/ResourceApplyGradientDescent"],
    }
    assert {kind: [name for name in names if kinds[name] is kind] for kind, names in wanted.items()} == wanted
    scopes = {"gradients": Kind.GRADIENT, "save": Kind.SAVING, "ExponentialMovingAverage": Kind.AVERAGE}
    for scope, kind in scopes.items():
        assert {found for name, found in kinds.items() if name.startswith(f"{scope}/")} == {kind}
    assert (graph.inputs, graph.layers) == (("x",), frozenset())


def test_training_graph_that_cannot_be_drawn_says_why_in_one_line() -> None:
    class Broken(LineDefinition):
        def training_data(self) -> tf.data.Dataset:
            raise KeyError("no data\nhere")

    with pytest.raises(CannotRun, match=r"^the training graph cannot be built: \w+: [^\n]*$"):
        draw_training_graph(Broken())

    class Interrupted(LineDefinition):
        def training_data(self) -> tf.data.Dataset:
            raise SystemExit

    with pytest.raises(CannotRun, match="cannot be built: SystemExit: no message"):
        draw_training_graph(Interrupted())
