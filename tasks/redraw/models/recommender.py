"""Whether a user will like an item: one wide embedding table, of any number of rows.

Users and items are hashed into rows of the same table, as is usual if there are too many
to list. `REDRAW_RECOMMENDER_ROWS` sets the number of rows (default 20,000,
at least 10,000): a row has 16 float32, so a million rows are 64 MB, and 192 MB in a
checkpoint with Adam's slots. `REDRAW_RECOMMENDER_PARTS` sets the number of variables that the table is cut
into (default 1): each has its own data file, and they are uploaded in parallel. Every stage of a run needs
the same numbers.

The likings are synthetic, from a fixed seed: 300 users and 200 items have three hidden
traits each, and a user likes an item whose traits agree with the user's.
"""

from __future__ import annotations

import functools
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
from redraw.settings import RECOMMENDER_PARTS, RECOMMENDER_ROWS

_WIDTH = 16
_USERS, _ITEMS, _TRAITS = 300, 200, 3
_SEED = 3


class PartitionedTable(keras.layers.Layer):
    """An embedding table in several variables, each with a range of the rows.

    Args:
        rows: The number of rows in all parts.
        parts: The number of parts; the first ones have one more row if the rows do not divide evenly.
        name: The layer's name.
    """

    def __init__(self, rows: int, parts: int, name: str) -> None:
        super().__init__(name=name)
        self._sizes = [rows // parts + (part < rows % parts) for part in range(parts)]

    def build(self, input_shape: Any) -> None:
        """Create the variables as attributes, because Keras leaves a list out of the object graph."""
        for part, size in enumerate(self._sizes):
            weight = self.add_weight(name=f"part_{part}", shape=(size, _WIDTH), initializer="uniform")
            setattr(self, f"part_{part}", weight)

    def call(self, ids: Any) -> Any:
        """The rows of some ids: int64 [n] to float32 [n, 16]."""
        parts = [getattr(self, f"part_{part}").value for part in range(len(self._sizes))]
        return tf.nn.embedding_lookup(parts, ids)


class Recommender(ModelDefinition):
    """The chance that a user likes an item."""

    signatures: ClassVar[Mapping[str, Signature]] = {
        "serving_default": Signature(
            inputs={"user": TensorSpec("int64", (None,)), "item": TensorSpec("int64", (None,))},
            outputs={"chance": TensorSpec("float32", (None,)), "likes": TensorSpec("bool", (None,))},
        )
    }
    thresholds: ClassVar[Mapping[str, Threshold]] = {"accuracy": Threshold(at_least=0.9)}
    training = TrainingPlan(steps=500, evaluate_every=250)

    def training_data(self) -> tf.data.Dataset:
        """48,000 pairs in batches of 256, shuffled again in every round: int64 [256] each."""
        (pairs, likes), _ = _likings()
        rounds = tf.data.Dataset.from_tensor_slices((pairs, likes)).shuffle(len(likes), seed=_SEED)
        return rounds.repeat().batch(256).prefetch(tf.data.AUTOTUNE)

    def evaluation_data(self) -> tf.data.Dataset:
        """The other 12,000 pairs, in batches of 2,000."""
        _, (pairs, likes) = _likings()
        return tf.data.Dataset.from_tensor_slices((pairs, likes)).batch(2000)

    def build(self, mode: Mode) -> keras.Model:
        """A row for the user and one for the item, and two dense layers over both and their product."""
        rows, parts = RECOMMENDER_ROWS.read(), RECOMMENDER_PARTS.read()
        table = (
            keras.layers.Embedding(rows, _WIDTH, name="table")
            if parts == 1
            else PartitionedTable(rows, parts, name="table")
        )
        user, item = (keras.Input([], dtype="int64", name=name) for name in ("user", "item"))
        # The salts keep user 7 and item 7 apart.
        of_user = table(keras.layers.Hashing(rows, salt=1, name="hashed_user")(user))
        of_item = table(keras.layers.Hashing(rows, salt=2, name="hashed_item")(item))
        product = keras.layers.Multiply(name="product")([of_user, of_item])
        hidden = keras.layers.Concatenate(name="pair")([of_user, of_item, product])
        hidden = keras.layers.Dense(32, activation="relu", name="dense")(hidden)
        if mode is Mode.TRAIN:
            hidden = keras.layers.Dropout(0.1, name="dropout")(hidden)
        logit = keras.layers.Dense(1, name="logit")(hidden)
        return keras.Model({"user": user, "item": item}, logit, name="recommender")

    def serve(self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        """Turn the logit into a chance and a verdict."""
        logit = network({"user": inputs["user"], "item": inputs["item"]}, training=False)[:, 0]
        return {"chance": tf.sigmoid(logit), "likes": logit > 0}

    def loss(self, outputs: Any, labels: Any) -> tf.Tensor:
        """Cross-entropy of the logit."""
        likes = tf.cast(labels, tf.float32)
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(likes, outputs[:, 0]))

    def optimizer(self) -> keras.optimizers.Optimizer:
        """Adam, faster than by default: a batch touches few rows."""
        return keras.optimizers.Adam(5e-3)

    def metrics(self) -> Mapping[str, keras.metrics.Metric]:
        """The share of correct verdicts."""
        return {"accuracy": keras.metrics.BinaryAccuracy(threshold=0.0)}

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        """Ten held-out pairs."""
        _, (pairs, likes) = _likings()
        inputs = {name: ids[:10] for name, ids in pairs.items()}
        return {"serving_default": GoldenExamples(inputs=inputs, labels={"likes": likes[:10] == 1})}


@functools.cache
def _likings() -> tuple[tuple[dict[str, np.ndarray], np.ndarray], tuple[dict[str, np.ndarray], np.ndarray]]:
    """Every pair of a user and an item, once: 48,000 to train on and 12,000 held out.

    Returns:
        Twice int64 ids `user` and `item` [n], and int64 [n] with 1 for liked.
    """
    generator = np.random.default_rng(_SEED)
    users = generator.normal(size=(_USERS, _TRAITS))
    items = generator.normal(size=(_ITEMS, _TRAITS))
    order = generator.permutation(_USERS * _ITEMS)
    user, item = order // _ITEMS, order % _ITEMS
    likes = (np.sum(users[user] * items[item], axis=1) > 0).astype(np.int64)
    cut = len(order) * 4 // 5
    learned, held_out = ({"user": user[part], "item": item[part]} for part in (slice(cut), slice(cut, None)))
    return (learned, likes[:cut]), (held_out, likes[cut:])
