"""Split each batch among the replicas of a network, so that together they train on it once."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = ["split_batches"]


def split_batches(dataset: tf.data.Dataset, replicas: int, first: int, count: int) -> tf.data.Dataset:
    """Turn each batch into the parts of some replicas, one after the other.

    The definition's batch is the global one: replica i has its rows from size * i // replicas.
    Every worker reads all batches, in the same order, and keeps its own rows.

    Args:
        dataset: Batches of (features, labels), at least as many rows in each as there are replicas.
        replicas: How many replicas there are in all.
        first: The first replica to make parts for.
        count: For how many.

    Returns:
        Elements of (features, labels, share): share is the part's rows by the batch's, so that the
        losses' means, times their share, sum up to the mean over the batch.
    """

    def parts(features: Any, labels: Any) -> tf.data.Dataset:
        rows = tf.shape(tf.nest.flatten(labels)[0], out_type=tf.int64)[0]
        message = f"a batch has fewer rows than the {replicas} replicas that train on it"
        with tf.control_dependencies(
            [tf.debugging.assert_greater_equal(rows, tf.cast(replicas, tf.int64), message)]
        ):
            rows = tf.identity(rows)

        def cut(replica: tf.Tensor) -> Any:
            begin, end = rows * replica // replicas, rows * (replica + 1) // replicas
            own = tf.nest.map_structure(lambda tensor: tensor[begin:end], (features, labels))
            return *own, tf.cast(end - begin, tf.float32) / tf.cast(rows, tf.float32)

        return tf.data.Dataset.range(first, first + count).map(cut)

    return dataset.flat_map(parts).prefetch(tf.data.AUTOTUNE)
