"""The dense stack as a TF1 graph function, whose checkpoints know variables by name."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.definition import GoldenExamples, GraphFunctionDefinition, Mode, Signature, TensorSpec

WIDTH = 4096
_TENSOR = TensorSpec("float32", (None, WIDTH))


class DenseGraph(GraphFunctionDefinition):
    signatures = {"serving_default": Signature(inputs={"x": _TENSOR}, outputs={"y": _TENSOR})}

    def training_data(self) -> tf.data.Dataset:
        x = np.ones([1, WIDTH], np.float32)
        return tf.data.Dataset.from_tensors((x, x)).repeat()

    def evaluation_data(self) -> tf.data.Dataset:
        return self.training_data().take(1)

    def graph(self, mode: Mode, features: Any) -> Any:
        y = features
        for number in range(int(os.environ["DENSE_STACK_LAYERS"])):
            with tf.compat.v1.variable_scope(f"dense_{number}"):
                kernel = tf.compat.v1.get_variable("kernel", [WIDTH, WIDTH])
                bias = tf.compat.v1.get_variable("bias", [WIDTH])
            y = tf.nn.relu(y @ kernel + bias)
        return tf.nn.dropout(y, rate=0.5) if mode is Mode.TRAIN else y

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        return {"y": network(inputs["x"])}

    def loss(self, outputs: Any, labels: Any) -> tf.Tensor:
        return tf.reduce_mean(tf.square(outputs - labels))

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        return {"serving_default": GoldenExamples(inputs={"x": np.ones([1, WIDTH], np.float32)})}
