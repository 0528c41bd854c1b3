"""The base of tiny definitions: rows made by a formula, two steps of training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from redraw.definition import GoldenExamples, ModelDefinition, Signature, TensorSpec, TrainingPlan

__all__ = ["Arrays", "Tensors", "Tiny", "normal", "one_signature"]

Arrays = Mapping[str, np.ndarray]
Tensors = Mapping[str, tf.Tensor]


class Tiny(ModelDefinition):
    """A definition whose features are its requests, and whose network answers `y`."""

    training = TrainingPlan(steps=2, evaluate_every=2)

    @abstractmethod
    def rows(self, count: int) -> Arrays:
        """Input name to as many rows."""

    def labels(self, count: int) -> np.ndarray:
        """What the network is to answer, of whatever shape fits."""
        return np.ones([count, 1], np.float32)

    def training_data(self) -> tf.data.Dataset:
        rows = (dict(self.rows(16)), self.labels(16))
        return tf.data.Dataset.from_tensor_slices(rows).repeat().batch(8)

    def evaluation_data(self) -> tf.data.Dataset:
        rows = (dict(self.rows(24)), self.labels(24))
        return tf.data.Dataset.from_tensor_slices(rows).batch(12)

    def loss(self, outputs: Any, labels: Any) -> tf.Tensor:
        return tf.reduce_mean(tf.square(tf.cast(outputs, tf.float32) - tf.cast(labels, tf.float32)))

    def optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.SGD(0.01)

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        return {"y": self.call_serving(network, dict(inputs))}

    def call_serving(self, network: Any, inputs: Any) -> Any:
        """Ask the network; a Keras model is called with `training=False`."""
        return network(inputs, training=False) if isinstance(network, keras.Model) else network(inputs)

    def call(self, network: Any, features: Any, mode: Any) -> Any:
        if isinstance(network, keras.Model):
            return super().call(network, features, mode)
        return network(features)

    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        rows = self.rows(5)
        return {
            name: GoldenExamples(inputs={key: rows[key] for key in signature.inputs})
            for name, signature in self.signatures.items()
        }


def one_signature(inputs: Mapping[str, TensorSpec], **outputs: TensorSpec) -> dict[str, Signature]:
    """Only the signature `serving_default`."""
    return {"serving_default": Signature(inputs=inputs, outputs=outputs)}


def normal(*shape: int) -> np.ndarray:
    """Normally distributed float32, the same each time."""
    return np.random.default_rng(5).normal(size=shape).astype(np.float32)
