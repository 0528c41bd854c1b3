"""Handwritten digits as a TF1 graph function: variables by name, keep_prob, moving averages.

The same scans as `mnist`, with `tf.compat.v1`, like an older code base whose network is in
one function. A checkpoint of it has the keys
`conv_1/kernel`, `conv_1/kernel/Adam`, `conv_1/kernel/ExponentialMovingAverage`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from redraw.definition import (
    GoldenExamples,
    GraphFunctionDefinition,
    Mode,
    Signature,
    TensorSpec,
    Threshold,
    TrainingPlan,
)
from redraw.models._digits import SIDE, decode_images, load_digits, scale_pixels

_SEED = 11
_MOMENTUM = 0.9

_ANSWER = {"digit": TensorSpec("int64", (None,)), "probabilities": TensorSpec("float32", (None, 10))}


class DigitsGraph(GraphFunctionDefinition):
    """Digits, from pixels or from PNG files."""

    signatures: ClassVar[Mapping[str, Signature]] = {
        "serving_default": Signature(
            inputs={"image": TensorSpec("uint8", (None, SIDE, SIDE))}, outputs=_ANSWER
        ),
        "serving_png": Signature(inputs={"png": TensorSpec("string", (None,))}, outputs=_ANSWER),
    }
    thresholds: ClassVar[Mapping[str, Threshold]] = {
        "accuracy": Threshold(at_least=0.95),
        "loss": Threshold(at_most=0.25),
    }
    weights = "average"
    training = TrainingPlan(steps=600, evaluate_every=150, average_decay=0.98)

    def training_data(self) -> tf.data.Dataset:
        """4,000 digits in batches of 64, shuffled again in every round: float32 [64, 28, 28, 1]."""
        (images, digits), _ = load_digits()
        rounds = tf.data.Dataset.from_tensor_slices((images, digits)).shuffle(len(digits), seed=_SEED)
        return rounds.repeat().batch(64).map(_scaled).prefetch(tf.data.AUTOTUNE)

    def evaluation_data(self) -> tf.data.Dataset:
        """The other 1,000 digits, in batches of 250: float32 [250, 28, 28, 1]."""
        _, (images, digits) = load_digits()
        return tf.data.Dataset.from_tensor_slices((images, digits)).batch(250).map(_scaled)

    def graph(self, mode: Mode, features: Any) -> Any:
        """Two convolutions with batch statistics and two dense layers; dropout for training only.

        Args:
            mode: The purpose of the graph.
            features: float32 [batch, 28, 28, 1].

        Returns:
            Logits, float32 [batch, 10].
        """
        keep_prob = 0.7 if mode is Mode.TRAIN else 1.0
        hidden = features
        for number, filters in enumerate((16, 32), start=1):
            with tf.compat.v1.variable_scope(f"conv_{number}"):
                hidden = _convolved(hidden, filters, mode)
        with tf.compat.v1.variable_scope("dense"):
            hidden = tf.nn.relu(_dense(tf.reshape(hidden, [-1, 7 * 7 * 32]), 64))
        if keep_prob < 1.0:
            hidden = tf.nn.dropout(hidden, rate=1.0 - keep_prob)
        with tf.compat.v1.variable_scope("logits"):
            return _dense(hidden, 10)

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        """Scale the pixels, call the network, and turn its logits into the outputs."""
        image = decode_images(inputs["png"]) if signature == "serving_png" else inputs["image"]
        logits = network(scale_pixels(image))
        return {"digit": tf.argmax(logits, axis=-1), "probabilities": tf.nn.softmax(logits)}

    def loss(self, outputs: Any, labels: Any) -> tf.Tensor:
        """Cross-entropy of the logits."""
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs))

    def metrics(self) -> Mapping[str, keras.metrics.Metric]:
        """The share of recognized digits."""
        return {"accuracy": keras.metrics.SparseCategoricalAccuracy()}

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        """One held-out digit of each kind, as pixels and as PNG files."""
        _, (images, digits) = load_digits()
        chosen, labels = images[50::100], {"digit": digits[50::100]}
        files = np.array([tf.io.encode_png(image[..., None]).numpy() for image in chosen], dtype=object)
        return {
            "serving_default": GoldenExamples(inputs={"image": chosen}, labels=labels),
            "serving_png": GoldenExamples(inputs={"png": files}, labels=labels),
        }

    def held_out_examples(self) -> Mapping[str, GoldenExamples]:
        """200 held-out digits, as pixels."""
        _, (images, digits) = load_digits()
        examples = GoldenExamples(inputs={"image": images[::5]}, labels={"digit": digits[::5]})
        return {"serving_default": examples}


def _scaled(image: tf.Tensor, digit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return scale_pixels(image), digit


def _convolved(image: tf.Tensor, filters: int, mode: Mode) -> tf.Tensor:
    kernel = tf.compat.v1.get_variable("kernel", [3, 3, image.shape[-1], filters])
    hidden = tf.nn.conv2d(image, kernel, strides=1, padding="SAME")
    hidden = tf.nn.relu(_normalized(hidden, mode))
    return tf.nn.max_pool2d(hidden, ksize=2, strides=2, padding="SAME")


def _normalized(hidden: tf.Tensor, mode: Mode) -> tf.Tensor:
    """Batch normalization; in training its update operations keep the statistics."""
    zeros, ones = tf.compat.v1.zeros_initializer(), tf.compat.v1.ones_initializer()
    shape = [hidden.shape[-1]]
    scale = tf.compat.v1.get_variable("gamma", shape, initializer=ones)
    offset = tf.compat.v1.get_variable("beta", shape, initializer=zeros)
    mean = tf.compat.v1.get_variable("moving_mean", shape, initializer=zeros, trainable=False)
    variance = tf.compat.v1.get_variable("moving_variance", shape, initializer=ones, trainable=False)
    if mode is not Mode.TRAIN:
        return tf.nn.batch_normalization(hidden, mean, variance, offset, scale, 1e-3)
    batch_mean, batch_variance = tf.nn.moments(hidden, axes=[0, 1, 2])
    for statistic, of_batch in ((mean, batch_mean), (variance, batch_variance)):
        update = statistic.assign_sub((statistic - of_batch) * (1.0 - _MOMENTUM))
        tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.UPDATE_OPS, update)
    return tf.nn.batch_normalization(hidden, batch_mean, batch_variance, offset, scale, 1e-3)


def _dense(hidden: tf.Tensor, units: int) -> tf.Tensor:
    kernel = tf.compat.v1.get_variable("kernel", [hidden.shape[-1], units])
    bias = tf.compat.v1.get_variable("bias", [units], initializer=tf.compat.v1.zeros_initializer())
    return tf.matmul(hidden, kernel) + bias
