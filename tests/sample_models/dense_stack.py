"""Dense layers of 67 MB each, as many as DENSE_STACK_LAYERS says: a model of any size, to measure with."""

import os
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from redraw.definition import GoldenExamples, Mode, Signature, TensorSpec
from sample_models.line_module import LineDefinition

WIDTH = 4096
_TENSOR = TensorSpec("float32", (None, WIDTH))


class DenseStack(LineDefinition):
    signatures = {"serving_default": Signature(inputs={"x": _TENSOR}, outputs={"y": _TENSOR})}

    thresholds = {}  # nobody has trained it

    def training_data(self) -> tf.data.Dataset:
        rows = np.ones([2, WIDTH], np.float32)
        return tf.data.Dataset.from_tensors(({"x": rows}, rows)).repeat()

    def call(self, network: Any, features: Any, mode: Mode) -> Any:
        return network(features["x"], training=mode is Mode.TRAIN)

    def build(self, mode: Mode) -> Any:
        x = y = keras.Input([WIDTH])
        for number in range(int(os.environ["DENSE_STACK_LAYERS"])):
            y = keras.layers.Dense(WIDTH, activation="relu", name=f"dense_{number}")(y)
        if mode is Mode.TRAIN:
            y = keras.layers.Dropout(0.5)(y)
        return keras.Model(x, y)

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        return {"y": network(inputs["x"], training=False)}

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        return {"serving_default": GoldenExamples(inputs={"x": np.ones([1, WIDTH], np.float32)})}
