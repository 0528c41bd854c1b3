"""Which department a customer's message is for: strings in, a vocabulary file as an asset.

240 messages, written for this model, are in `data/support_requests.tsv`; every fifth is held
out. Their words are in `data/support_vocabulary.txt`, one on each line. The SavedModel has
this file in its `assets/`, so a server needs neither this package nor Python to look words up.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
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

_DATA = Path(__file__).with_name("data")
_VOCABULARY = _DATA / "support_vocabulary.txt"
_TOPICS = ("billing", "delivery", "technical", "praise")
_HELD_OUT_EVERY = 5  # the messages come sorted by topic, so this takes 12 of each
_WORDS = 24  # of a message; further words are ignored
_SEED = 5


class TextClassifier(ModelDefinition):
    """A customer's message: billing, delivery, technical or praise."""

    signatures: ClassVar[Mapping[str, Signature]] = {
        "serving_default": Signature(
            inputs={"text": TensorSpec("string", (None,))},
            outputs={
                "topic": TensorSpec("string", (None,)),
                "probabilities": TensorSpec("float32", (None, len(_TOPICS))),
            },
        )
    }
    thresholds: ClassVar[Mapping[str, Threshold]] = {"accuracy": Threshold(at_least=0.75)}
    weights = "average"
    training = TrainingPlan(steps=200, evaluate_every=50, average_decay=0.95)

    def training_data(self) -> tf.data.Dataset:
        """192 messages in batches of 32, shuffled again in every round: strings [32]."""
        (texts, topics), _ = _messages()
        rounds = tf.data.Dataset.from_tensor_slices((texts, topics)).shuffle(len(topics), seed=_SEED)
        return rounds.repeat().batch(32).prefetch(tf.data.AUTOTUNE)

    def evaluation_data(self) -> tf.data.Dataset:
        """The other 48 messages, in one batch: strings [48]."""
        _, (texts, topics) = _messages()
        return tf.data.Dataset.from_tensor_slices((texts, topics)).batch(len(topics))

    def build(self, mode: Mode) -> keras.Model:
        """The mean of the words' embeddings, and two dense layers; dropout for training only."""
        text = keras.Input([], dtype="string", name="text")
        words = keras.layers.TextVectorization(
            output_sequence_length=_WORDS, vocabulary=str(_VOCABULARY), name="words"
        )
        rows = words.vocabulary_size()
        hidden = keras.layers.Embedding(rows, 32, mask_zero=True, name="embedding")(words(text))
        hidden = keras.layers.GlobalAveragePooling1D(name="mean")(hidden)
        if mode is Mode.TRAIN:
            hidden = keras.layers.Dropout(0.3, name="dropout")(hidden)
        hidden = keras.layers.Dense(32, activation="relu", name="dense")(hidden)
        return keras.Model(text, keras.layers.Dense(len(_TOPICS), name="logits")(hidden), name="text")

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        """Return the name of the likeliest topic."""
        logits = network(inputs["text"], training=False)
        topic = tf.gather(tf.constant(_TOPICS), tf.argmax(logits, axis=-1))
        return {"topic": topic, "probabilities": tf.nn.softmax(logits)}

    def loss(self, outputs: Any, labels: Any) -> tf.Tensor:
        """Cross-entropy of the logits."""
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs))

    def optimizer(self) -> keras.optimizers.Optimizer:
        """Adam, faster than by default: there is little to read."""
        return keras.optimizers.Adam(5e-3)

    def metrics(self) -> Mapping[str, keras.metrics.Metric]:
        """The share of messages that reach the right department."""
        return {"accuracy": keras.metrics.SparseCategoricalAccuracy()}

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        """Two held-out messages of each topic."""
        return {"serving_default": _requests(every=6)}

    def held_out_examples(self) -> Mapping[str, GoldenExamples]:
        """All 48 held-out messages."""
        return {"serving_default": _requests(every=1)}


def _requests(every: int) -> GoldenExamples:
    _, (texts, topics) = _messages()
    labels = np.array([_TOPICS[topic].encode() for topic in topics[::every]], dtype=object)
    return GoldenExamples(inputs={"text": texts[::every]}, labels={"topic": labels})


@functools.cache
def _messages() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """192 messages to train on and 48 held out: strings (objects) [n] and int64 [n]."""
    lines = (_DATA / "support_requests.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    texts = np.array([text.encode() for _, text in rows], dtype=object)
    topics = np.array([_TOPICS.index(topic) for topic, _ in rows], dtype=np.int64)
    held_out = np.arange(len(rows)) % _HELD_OUT_EVERY == 0
    return (texts[~held_out], topics[~held_out]), (texts[held_out], topics[held_out])
