"""A straight line, as a tf.Module: y = 3x - 1 with dropout on the way, for training only."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.definition import (
    GoldenExamples,
    Mode,
    ModelDefinition,
    Signature,
    TensorSpec,
    Threshold,
    TrainingPlan,
)


class Line(tf.Module):
    def __init__(self, drop: bool) -> None:
        super().__init__()
        self.drop = drop
        self.slope = tf.Variable(tf.zeros([1, 1]))
        self.offset = tf.Variable(tf.zeros([1]))

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        y = x @ self.slope + self.offset
        return tf.nn.dropout(y, 0.01) if self.drop else y


class LineDefinition(ModelDefinition):
    signatures = {
        "serving_default": Signature(
            inputs={"x": TensorSpec("float32", (None, 1))}, outputs={"y": TensorSpec("float32", (None, 1))}
        )
    }
    thresholds = {"loss": Threshold(at_most=100.0)}
    training = TrainingPlan(steps=8, evaluate_every=4)

    def training_data(self) -> tf.data.Dataset:
        x = np.linspace(-1, 1, 16, dtype=np.float32)[:, None]
        return tf.data.Dataset.from_tensors((x, 3 * x - 1)).repeat()

    def evaluation_data(self) -> tf.data.Dataset:
        return self.training_data().take(1)

    def build(self, mode: Mode) -> Any:
        return Line(drop=mode is Mode.TRAIN)

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        return {"y": network(inputs["x"])}

    def loss(self, outputs: Any, labels: Any) -> tf.Tensor:
        return tf.reduce_mean(tf.square(outputs - labels))

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        return {"serving_default": GoldenExamples(inputs={"x": np.float32([[0.0], [0.5], [2.0]])})}
