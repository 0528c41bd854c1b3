"""Numbers by their English names, as a TF1 graph function with all that such graphs are made of.

A vocabulary file, a table of constants, a partitioned embedding, scopes without a name of
their own, dropout and a head for training only, and variables that are no weights.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

VOCABULARY = Path(__file__).with_name("words.txt")
WORDS = VOCABULARY.read_text().split()
ROWS = len(WORDS) + 1  # and one for words that are not in the vocabulary


class WordGraphDefinition(GraphFunctionDefinition):
    signatures = {
        "serving_default": Signature(
            inputs={"word": TensorSpec("string", (None,))},
            outputs={"value": TensorSpec("float32", (None, 1))},
        ),
        "nearest": Signature(
            inputs={"value": TensorSpec("float32", (None,))}, outputs={"word": TensorSpec("string", (None,))}
        ),
        "rescaled": Signature(
            inputs={"word": TensorSpec("string", (None,)), "factor": TensorSpec("float32", (None, 1))},
            outputs={
                "value": TensorSpec("float32", (None, 1)),
                "factor": TensorSpec("float32", (None, 1)),
            },
        ),
    }
    thresholds = {"loss": Threshold(at_most=1.0)}
    weights = "average"
    training = TrainingPlan(steps=60, evaluate_every=20, keep_checkpoints=2, average_decay=0.9)
    training_only = ("auxiliary/*",)

    def training_data(self) -> tf.data.Dataset:
        words, values = np.array(WORDS, dtype=object), np.arange(len(WORDS), dtype=np.float32)[:, None]
        return tf.data.Dataset.from_tensors(({"word": words}, values)).repeat()

    def evaluation_data(self) -> tf.data.Dataset:
        return self.training_data().take(1)

    def graph(self, mode: Mode, features: Any) -> Any:
        table = tf.lookup.StaticVocabularyTable(
            tf.lookup.TextFileInitializer(
                str(VOCABULARY), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            num_oov_buckets=1,
        )  # fmt: skip
        embedding = tf.compat.v1.get_variable(
            "embedding", [ROWS, 4], partitioner=tf.compat.v1.fixed_size_partitioner(2)
        )
        embedded = tf.compat.v1.nn.embedding_lookup(
            embedding, table.lookup(features["word"]), partition_strategy="div"
        )
        keep_prob = 0.9 if mode is Mode.TRAIN else 1.0
        value = _dense(tf.nn.dropout(embedded, rate=1.0 - keep_prob))
        with tf.compat.v1.variable_scope("seen", reuse=tf.compat.v1.AUTO_REUSE):
            seen = tf.compat.v1.get_variable("count", [], tf.int64, trainable=False,
                                             initializer=tf.compat.v1.zeros_initializer())  # fmt: skip
        if mode is Mode.TRAIN:
            with tf.compat.v1.variable_scope("auxiliary"):
                value += 0.0 * _dense(embedded)
            update = seen.assign_add(tf.size(features["word"], out_type=tf.int64))
            tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.UPDATE_OPS, update)
        return value + tf.cast(0 * seen, tf.float32)

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        if signature == "nearest":
            numbers = tf.constant([*range(len(WORDS))], tf.int64)
            names = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(numbers, tf.constant(WORDS)), default_value="many"
            )
            return {"word": names.lookup(tf.cast(tf.round(inputs["value"]), tf.int64))}
        value = network({"word": inputs["word"]})
        if signature == "rescaled":
            return {"value": value * inputs["factor"], "factor": inputs["factor"]}
        return {"value": value}

    def loss(self, outputs: Any, labels: Any) -> tf.Tensor:
        return tf.reduce_mean(tf.square(outputs - labels))

    def optimizer(self) -> tf.compat.v1.train.Optimizer:
        return tf.compat.v1.train.AdamOptimizer(0.1)

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        words = np.array([b"four", b"zero", b"eleven"], dtype=object)
        return {
            "serving_default": GoldenExamples(inputs={"word": words}),
            "nearest": GoldenExamples(inputs={"value": np.float32([0.2, 2.9, 7.0])}),
            "rescaled": GoldenExamples(inputs={"word": words, "factor": np.float32([[1.0], [2.0], [0.5]])}),
        }


def _dense(hidden: tf.Tensor) -> tf.Tensor:
    with tf.compat.v1.variable_scope(None, default_name="dense"):
        kernel = tf.compat.v1.get_variable("kernel", [hidden.shape[-1], 1])
        bias = tf.compat.v1.get_variable("bias", [1], initializer=tf.compat.v1.constant_initializer(0.5))
    return tf.matmul(hidden, kernel) + bias
