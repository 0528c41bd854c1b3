"""The exponential moving average of the weights, inside the training step's graph."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf


def update_average(
    averages: Mapping[str, tf.Variable], weights: Mapping[str, tf.Variable], decay: float, step: tf.Variable
) -> None:
    """Move every average towards its weight; values that are not floats are copied.

    The decay is lower at first, min(decay, (1 + step) / (10 + step)), so that the random
    initial weights soon lose their influence.

    Args:
        averages: Name to average, in place; batch statistics are averaged like weights.
        weights: Name to weight, at least the names of `averages`.
        decay: In [0, 1).
        step: The number of steps trained, int64 scalar.

    Source:
        https://www.tensorflow.org/api_docs/python/tf/train/ExponentialMovingAverage, `num_updates`
    """
    trained = tf.cast(step, tf.float32)
    current = tf.minimum(decay, (1.0 + trained) / (10.0 + trained))
    for name, average in averages.items():
        weight = weights[name]
        if average.dtype.is_floating:
            average.assign_sub((average - weight) * tf.cast(1.0 - current, average.dtype))
        else:
            average.assign(weight)
