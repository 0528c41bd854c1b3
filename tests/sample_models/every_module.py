"""A tf.Module of what is easily drawn wrong: values instead of initializers, tables, lazy variables."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.definition import GoldenExamples, Mode, Signature, TensorSpec
from sample_models.line_module import LineDefinition

# No network holds it, so no checkpoint does.
OFFSET = tf.Variable([0.25, -0.5], trainable=False, name="offset")


class Part(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.turn = tf.Variable(tf.eye(2) * 2.0)
        # A weight computed of another's value.
        self.back = tf.Variable(tf.linalg.inv(self.turn))
        self.lazy: Any = None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        if self.lazy is None:
            self.lazy = tf.Variable(tf.ones([2]), name="lazy")
        return x @ self.turn @ self.back * self.lazy


class Network(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = [Part(), Part()]
        self.table = tf.lookup.StaticVocabularyTable(
            tf.lookup.TextFileInitializer(
                os.environ["SAMPLE_VOCABULARY"],
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            num_oov_buckets=2,
        )
        self.vectors = tf.Variable(tf.random.normal([6, 2]), dtype=tf.float32, name="vectors")
        # Too large a value to keep for somebody to read it, as the next line does.
        self.large = tf.Variable(tf.eye(160))
        self.share = tf.Variable(tf.reduce_mean(self.large))
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False)

    @tf.function
    def __call__(self, word: tf.Tensor) -> tf.Tensor:
        x = tf.gather(self.vectors, self.table.lookup(word))
        for part in self.parts:
            x = part(x)
        return x * self.share + OFFSET


class EveryModule(LineDefinition):
    signatures = {
        "serving_default": Signature(
            inputs={"word": TensorSpec("string", (None,))}, outputs={"y": TensorSpec("float32", (None, 2))}
        )
    }

    def build(self, mode: Mode) -> Any:
        network = Network()
        if mode is not Mode.SERVE:
            for part in network.parts:
                part(tf.zeros([1, 2]))
        return network

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        return {"y": network(inputs["word"])}

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        words = np.array(["red", "blue", "other"], dtype=object)
        return {"serving_default": GoldenExamples(inputs={"word": words})}
