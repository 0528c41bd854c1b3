"""A small regression without chance: the same whatever the number of replicas."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from redraw.definition import Mode, TrainingPlan
from sample_models.line_module import LineDefinition as _Line


class DensePlain(_Line):
    training = TrainingPlan(steps=40, evaluate_every=10, average_decay=0.9)

    def training_data(self) -> tf.data.Dataset:
        x = np.random.default_rng(3).normal(size=(99, 1)).astype(np.float32)
        # 33 rows: two replicas cannot have the same number of them.
        return tf.data.Dataset.from_tensor_slices((x, 3 * x - 1)).shuffle(99, seed=5).repeat().batch(33)

    def evaluation_data(self) -> tf.data.Dataset:
        x = np.linspace(-1, 1, 16, dtype=np.float32)[:, None]
        return tf.data.Dataset.from_tensors((x, 3 * x - 1))

    def build(self, mode: Mode) -> Any:
        hidden = keras.layers.Dense(8, activation="relu", name="hidden")
        return keras.Sequential([keras.Input((1,)), hidden, keras.layers.Dense(1, name="line")], name="net")

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(0.01, global_clipnorm=0.5)
