"""The definition of a model that a TF1 graph function draws."""

from __future__ import annotations

import contextvars
import functools
import weakref
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from redraw.definition.model import ModelDefinition
from redraw.definition.parts import Mode
from redraw.errors import InvalidDefinition

if TYPE_CHECKING:
    import tensorflow as tf


class GraphFunctionDefinition(ModelDefinition):
    """A model as a TF1 graph function, for checkpoints that identify variables only by name.

    `graph` replaces `build`; everything else is the same as for the other kinds, with these differences:

    - `graph`, `serve` and `loss` run while a `tf.Graph` is being built. Their tensors come
      from placeholders: of the signature when serving, of the batches' dtypes and shapes
      otherwise. `training_data` and `evaluation_data` stay outside of the graph.
    - Variables come from `tf.compat.v1.get_variable` under variable scopes: so two drawings in one graph (two
      signatures; training and evaluation) share them. Variables of `tf.Variable` are shared by the order in
      which they are made, which must be the same in every mode.
      `tf.compat.v1.layers` and `rnn_cell` need `legacy_keras = True`; `tf.nn`, `tf_slim` and
      `tf.feature_column` work as they are.
    - Operations that `graph` adds to the collection `UPDATE_OPS` for TRAIN run with each step.
    - Tables are initialized before the first step and the first request. A file that
      initializes one becomes an asset of the SavedModel.
    - `optimizer` returns a `tf.compat.v1.train.Optimizer`.
    - `metrics` are updated with arrays, outside of the graph.
    - Averages (`TrainingPlan.average_decay`) are those of
      `tf.compat.v1.train.ExponentialMovingAverage` over the trainable variables; other variables, such as
      batch statistics, are served without averaging.
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
        """The network for `call` and `serve`: `graph`, with shared variables.

        Args:
            mode: What the graph is for.

        Returns:
            Features to outputs; it may be called any number of times in any graph.
        """
        return sharing_variables(functools.partial(self.graph, mode))

    def call(self, network: Any, features: Any, mode: Mode) -> Any:
        """The network's outputs for a batch of features; the network is already built for its mode."""
        return network(features)

    def optimizer(self) -> tf.compat.v1.train.Optimizer:
        """The optimizer that trains the network; Adam unless overridden."""
        import tensorflow as tf

        return tf.compat.v1.train.AdamOptimizer()


def sharing_variables(draw: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make a network that creates its variables in its first call in a graph, and then shares them.

    Args:
        draw: Features to outputs, by `tf.compat.v1`.

    Returns:
        The same function, under a scope that reuses variables.
    """
    import tensorflow as tf

    def network(features: Any) -> Any:
        # Entering the scope by its object restarts the numbering of scopes without a name (default_name), so
        # that their variables are shared, too.
        scope = tf.compat.v1.get_variable_scope()
        bare = _BareVariables(_variables_of_graphs.setdefault(tf.compat.v1.get_default_graph(), {}))
        with (
            tf.compat.v1.variable_scope(
                scope, reuse=tf.compat.v1.AUTO_REUSE, use_resource=True, custom_getter=bare.get
            ),
            tf.variable_creator_scope(bare.create),
        ):
            outputs = draw(features)
        bare.demand_all()
        return outputs

    return network


# Graph to its variables that are not shared by a scope.
_variables_of_graphs: weakref.WeakKeyDictionary[Any, dict[tuple[str, int], Any]] = weakref.WeakKeyDictionary()
# Replaces such a variable when averages are evaluated.
replaced: contextvars.ContextVar[Callable[[Any], Any]] = contextvars.ContextVar("replaced")


class _BareVariables:
    """Variables made by `tf.Variable`, shared by their names and the order in which they are made.

    Args:
        variables: Name and number to variable, which the first drawing in the same graph fills.
    """

    def __init__(self, variables: dict[tuple[str, int], Any]) -> None:
        self._variables, self._first = variables, not variables
        self._seen: Counter[str] = Counter()
        self._in_get = 0

    def get(self, getter: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Return a variable of `get_variable`, which its scope shares."""
        self._in_get += 1
        try:
            return getter(*arguments, **keywords)
        finally:
            self._in_get -= 1

    def create(self, creator: Callable[..., Any], **options: Any) -> Any:
        """Make a variable, or return the one that the first drawing made."""
        if self._in_get:
            return creator(**options)
        name = options.get("name") or "Variable"
        key = name, self._seen[name]
        self._seen[name] += 1
        if self._first:
            self._variables[key] = creator(**options)
        if key not in self._variables:
            raise _unlike(f"a new variable {name!r}")
        variable = self._variables[key]
        return replaced.get(lambda variable: variable)(variable)

    def demand_all(self) -> None:
        """Refuse a drawing that lacks some variables, because others would get their values."""
        expected = Counter(name for name, _ in self._variables)
        if missing := sorted((expected - self._seen).elements()):
            raise _unlike(f"no variable for {', '.join(map(repr, missing[:5]))}")


def _unlike(got: str) -> InvalidDefinition:
    return InvalidDefinition(
        f"graph: expected each call to create the same tf.Variables in the same order, got {got}. Create"
        " variables with tf.compat.v1.get_variable, which shares them by name."
    )
