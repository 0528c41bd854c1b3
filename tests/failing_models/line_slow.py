"""The straight line, trained for so long that one can watch."""

import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from sample_models.line_module import LineDefinition

from redraw.definition import TrainingPlan

# In seconds: what a batch takes to arrive.
_PAUSE = 0.05


class SlowLine(LineDefinition):
    training = TrainingPlan(steps=600, evaluate_every=100)

    def training_data(self) -> tf.data.Dataset:
        x = np.linspace(-1, 1, 16, dtype=np.float32)[:, None]

        def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            while True:
                time.sleep(_PAUSE)
                yield x, 3 * x - 1

        spec = tf.TensorSpec((16, 1), tf.float32)
        return tf.data.Dataset.from_generator(batches, output_signature=(spec, spec))

    def evaluation_data(self) -> tf.data.Dataset:
        return LineDefinition.training_data(self).take(1)
