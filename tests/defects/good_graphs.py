"""Good definitions of TF1 graph functions."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from redraw.definition import GraphFunctionDefinition, Mode, TensorSpec
from tests.defects.tiny import Arrays, Tiny, normal, one_signature

__all__ = ["OldControlFlow", "ReferenceVariables"]

v1 = tf.compat.v1


class ReferenceVariables(GraphFunctionDefinition, Tiny):
    """Variables of the first kind, as graphs before 2019 have them."""

    signatures = one_signature({"x": TensorSpec("float32", (None, 4))}, y=TensorSpec("float32", (None, 1)))

    def rows(self, count: int) -> Arrays:
        return {"x": normal(count, 4)}

    def graph(self, mode: Mode, features: Any) -> Any:
        with v1.variable_scope("dense"):
            kernel = v1.get_variable("kernel", [4, 1], use_resource=False)
            bias = v1.get_variable("bias", [1], use_resource=False, initializer=v1.zeros_initializer())
        keep_prob = 0.8 if mode is Mode.TRAIN else 1.0
        x = tf.nn.dropout(features["x"], rate=1 - keep_prob) if keep_prob < 1 else features["x"]
        return tf.matmul(x, kernel) + bias

    def call(self, network: Any, features: Any, mode: Mode) -> Any:
        return network(features)

    def optimizer(self) -> Any:
        return v1.train.MomentumOptimizer(0.01, 0.9)


class OldControlFlow(ReferenceVariables):
    """Conditions, loops and a local variable, as TF1 draws them."""

    def graph(self, mode: Mode, features: Any) -> Any:
        weight = v1.get_variable("weight", [4], initializer=v1.ones_initializer())
        rounds = v1.get_variable("rounds", [], tf.int32, v1.constant_initializer(3), trainable=False)
        x = features["x"] * weight
        _, powered = v1.while_loop(
            lambda step, _: step < rounds, lambda step, total: (step + 1, total * 0.5 + x), (0, x)
        )
        summed = tf.reduce_sum(powered, axis=1, keepdims=True)
        return tf.where(summed > 0, summed, 0.1 * summed)
