"""The network whose checkpoints other programs wrote: two dense layers with a normalization between."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from redraw.definition import GoldenExamples, Mode, Signature, TensorSpec
from sample_models.line_module import LineDefinition as _Line


class ForeignNet(_Line):
    signatures = {
        "serving_default": Signature(
            inputs={"x": TensorSpec("float32", (None, 4))}, outputs={"y": TensorSpec("float32", (None, 2))}
        )
    }

    thresholds = {}  # nobody has measured what other programs trained

    def build(self, mode: Mode) -> Any:
        return keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(3, name="hidden"),
                keras.layers.BatchNormalization(),
                keras.layers.Dense(2, name="answer"),
            ],
            name="net",
        )

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        return {"y": network(inputs["x"], training=False)}

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        return {"serving_default": GoldenExamples(inputs={"x": np.ones((2, 4), np.float32)})}
