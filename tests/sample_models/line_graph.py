"""A straight line, as a TF1 graph function: placeholders' place is taken by arguments."""

from typing import Any

import tensorflow as tf

from redraw.definition import Mode
from sample_models.line_module import LineDefinition as _Line


def line_graph(x: tf.Tensor) -> tf.Tensor:
    with tf.compat.v1.variable_scope("line"):
        slope = tf.compat.v1.get_variable("slope", [1, 1], initializer=tf.compat.v1.zeros_initializer())
        offset = tf.compat.v1.get_variable("offset", [1], initializer=tf.compat.v1.zeros_initializer())
    return tf.compat.v1.matmul(x, slope) + offset


class GraphLine(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.graph = tf.compat.v1.wrap_function(line_graph, [tf.TensorSpec([None, 1], tf.float32)])
        self.values = list(self.graph.variables)

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.graph(x)


class GraphLineDefinition(_Line):
    def build(self, mode: Mode) -> Any:
        return GraphLine()
