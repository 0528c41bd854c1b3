"""A Keras model of what is easily drawn wrong: tables, assets, shared, nested, custom and stateful layers."""

import os
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from redraw.definition import GoldenExamples, Mode, Signature, TensorSpec
from sample_models.line_module import LineDefinition

WORDS = ["red", "green", "blue", "grey"]


class Scale(keras.layers.Layer):
    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(name="factor", shape=(shape[-1],), initializer="ones")
        # A weight whose initial value is computed of another's.
        self.twice = self.add_weight(name="twice", shape=(), initializer=lambda *_, **__: 2 * self.factor[0])

    def call(self, x: Any) -> Any:
        return x * self.factor * self.twice


class Count(keras.layers.Layer):
    def build(self, shape: Any) -> None:
        self.calls = self.add_weight(name="calls", shape=(), dtype="float32", trainable=False)

    def call(self, x: Any) -> Any:
        self.calls.assign_add(1.0)
        return x + self.calls


class Sinusoid(keras.layers.Layer):
    def build(self, shape: Any) -> None:
        # Cannot be traced: the initializer asks for a number.
        first = lambda shape, dtype: tf.constant(np.sin(tf.random.uniform(shape).numpy()), dtype)  # noqa: E731
        self.wave = self.add_weight(name="wave", shape=(shape[-1],), initializer=first)
        self.unused = self.add_weight(name="unused", shape=(3,), initializer="zeros")

    def call(self, x: Any) -> Any:
        return x + self.wave


class Network(keras.Model):
    def __init__(self, drop: bool) -> None:
        super().__init__(name="network")
        shared = keras.layers.Dense(4, activation="tanh", name="shared")
        x = keras.Input([4])
        self.inner = keras.Model(x, shared(shared(x)), name="inner")
        self.words = keras.layers.StringLookup(vocabulary=os.environ["SAMPLE_VOCABULARY"], name="words")
        self.colours = keras.layers.StringLookup(vocabulary=WORDS[1:], name="colours")
        self.vectors = keras.layers.Embedding(6, 4, name="vectors")
        self.normal = keras.layers.Normalization(name="normal")
        self.norm = keras.layers.BatchNormalization(name="norm")
        self.scale = Scale(name="scale")
        self.count = Count(name="count")
        self.sinusoid = Sinusoid(name="sinusoid")
        for layer in (self.normal, self.norm, self.scale, self.count, self.sinusoid):
            layer.build((None, 4))
        self.vectors.build((None,))
        self.dropout = keras.layers.Dropout(0.5, name="dropout") if drop else None

    def call(self, word: Any, training: bool = False) -> Any:
        x = self.vectors(self.words(word) + self.colours(word) // 4)
        x = self.norm(self.normal(self.inner(x)), training=training)
        x = self.sinusoid(self.count(self.scale(x)))
        return x if self.dropout is None else self.dropout(x, training=training)


class EveryLayer(LineDefinition):
    signatures = {
        "serving_default": Signature(
            inputs={"word": TensorSpec("string", (None,))}, outputs={"y": TensorSpec("float32", (None, 4))}
        ),
        "sums": Signature(
            inputs={"word": TensorSpec("string", (None,)), "weight": TensorSpec("float32", (None,))},
            outputs={"sum": TensorSpec("float32", (None,)), "words": TensorSpec("string", (None,))},
        ),
    }

    def build(self, mode: Mode) -> Any:
        return Network(drop=mode is Mode.TRAIN)

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        y = network(inputs["word"], training=False)
        if signature == "serving_default":
            return {"y": y}
        sums = tf.map_fn(lambda row: tf.reduce_sum(row), y) * inputs["weight"]
        return {"sum": sums, "words": tf.strings.upper(inputs["word"])}

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        words = np.array([*WORDS, "none"], dtype=object)
        weights = np.linspace(-1, 1, len(words), dtype=np.float32)
        return {
            "serving_default": GoldenExamples(inputs={"word": words}),
            "sums": GoldenExamples(inputs={"word": words, "weight": weights}),
        }
