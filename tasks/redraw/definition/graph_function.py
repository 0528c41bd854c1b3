"""The definition of a model that a TF1 graph function draws."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from redraw.definition.model import ModelDefinition
from redraw.definition.parts import Mode

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["GraphFunctionDefinition", "sharing_variables"]


class GraphFunctionDefinition(ModelDefinition):
    """A model as a TF1 graph function, for checkpoints that know variables by name alone.

    `graph` takes the place of `build`; everything else is as for the other kinds, with
    these differences:

    - `graph`, `serve` and `loss` run while a `tf.Graph` is being built. Their tensors come
      from placeholders: of the signature when serving, of the batches' dtypes and shapes
      otherwise. `training_data` and `evaluation_data` stay outside of the graph.
    - Variables come from `tf.compat.v1.get_variable` under variable scopes, which is how two
      drawings in one graph (two signatures; training and evaluation) share them.
      `tf.compat.v1.layers` does not work next to Keras 3; `tf.nn` does.
    - What `graph` adds to the collection `UPDATE_OPS` for TRAIN runs with each step.
    - Tables are initialized before the first step and the first request. A file that
      initializes one becomes an asset of the SavedModel.
    - `optimizer` gives a `tf.compat.v1.train.Optimizer`.
    - `metrics` are updated with arrays, outside of the graph.
    - Averages (`TrainingPlan.average_decay`) are those of
      `tf.compat.v1.train.ExponentialMovingAverage` over the trainable variables; what is not
      trainable, such as batch statistics, is served as it is.
    """

    @abstractmethod
    def graph(self, mode: Mode, features: Any) -> Any:
        """Draw the network in the graph that is being built.

        Args:
            mode: What the graph is for; dropout's `keep_prob` and the like follow from it.
            features: A batch of features: a tensor, or a structure of tensors.

        Returns:
            The outputs, a tensor or a structure of tensors, for `loss`, `metrics` and `serve`.
        """

    def build(self, mode: Mode) -> Callable[[Any], Any]:
        """The network that `call` and `serve` are given: `graph`, sharing its variables.

        Args:
            mode: What the graph is for.

        Returns:
            Features to outputs; it may be called any number of times in any graph.
        """
        return sharing_variables(functools.partial(self.graph, mode))

    def call(self, network: Any, features: Any, mode: Mode) -> Any:
        """The network's outputs for a batch of features; it was built for its mode."""
        return network(features)

    def optimizer(self) -> tf.compat.v1.train.Optimizer:
        """The optimizer that trains the network; Adam unless overridden."""
        import tensorflow as tf

        return tf.compat.v1.train.AdamOptimizer()


def sharing_variables(draw: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A network that creates its variables when it is first called in a graph, and then shares them.

    Args:
        draw: Features to outputs, by `tf.compat.v1`.

    Returns:
        The same, under a scope that reuses variables.
    """
    import tensorflow as tf

    def network(features: Any) -> Any:
        # Entering the scope by its object counts scopes without a name of their own
        # (default_name) from the start again, so that these are shared too.
        scope = tf.compat.v1.get_variable_scope()
        with tf.compat.v1.variable_scope(scope, reuse=tf.compat.v1.AUTO_REUSE, use_resource=True):
            return draw(features)

    return network
