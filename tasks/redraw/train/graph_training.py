"""Draw the graph that trains and measures a TF1 graph function: up to three networks that share variables."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from redraw.compat.tensorflow import partitions
from redraw.definition import GraphFunctionDefinition, Mode
from redraw.definition.graph_function import replaced
from redraw.definition.user_code import running_user_code
from redraw.errors import InvalidDefinition, short_list


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawing:
    """The network in one mode, with its placeholders and outputs.

    Attributes:
        features: Placeholders in the structure of a batch's features.
        labels: Placeholders in the structure of its labels.
        outputs: The network's outputs for the features.
        loss: The batch's mean loss, a scalar.
    """

    features: Any
    labels: Any
    outputs: Any
    loss: Any

    def feed(self, features: Any, labels: Any) -> dict[Any, Any]:
        """The feed of a session for one batch of eager tensors."""
        placeholders = tf.nest.flatten((self.features, self.labels))
        values = tf.nest.flatten((features, labels))
        return {p: value.numpy() for p, value in zip(placeholders, values, strict=True)}


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingGraph:
    """The operations of a training session.

    Attributes:
        step: The variable `global_step`, int64.
        weights: The network's variables, without optimizer and averages.
        train: The network in TRAIN mode.
        train_step: The operation of one step: gradients, update operations, averages.
        evaluated: The network in EVALUATE mode.
        averaged: The same with the averages as weights; None if there are none.
        start_averages: The operation that sets every average to its weight.
    """

    step: Any
    weights: tuple[Any, ...]
    train: Drawing
    train_step: Any
    evaluated: Drawing
    averaged: Drawing | None
    start_averages: Any


def draw_training(
    definition: GraphFunctionDefinition, training_spec: Any, evaluation_spec: Any
) -> TrainingGraph:
    """Draw everything that training needs into the default graph.

    Args:
        definition: The model.
        training_spec: `element_spec` of the training data: (features, labels).
        evaluation_spec: `element_spec` of the evaluation data.

    Raises:
        InvalidDefinition: The definition fails, or its evaluation has a variable that training
            does not have.
    """
    where = f"{type(definition).__module__}.{type(definition).__name__}"
    with running_user_code(f"{where}, drawn for training,"):
        step = tf.compat.v1.train.get_or_create_global_step()
        train = draw_mode(definition, Mode.TRAIN, training_spec)
        weights = tuple(v for v in tf.compat.v1.global_variables() if v is not step)
        train_step, average = _draw_step(definition, train.loss, step)
        training_variables = tf.compat.v1.global_variables()
        evaluated, averaged = _draw_evaluations(definition, evaluation_spec, average)
    _demand_shared(where, training_variables)
    return TrainingGraph(
        step=step,
        weights=weights,
        train=train,
        train_step=train_step,
        evaluated=evaluated,
        averaged=averaged,
        start_averages=_initialize_averages(average, weights),
    )


def draw_mode(definition: GraphFunctionDefinition, mode: Mode, spec: Any) -> Drawing:
    """Draw the network in one mode, with placeholders for batches of `spec`: (features, labels)."""
    features, labels = tf.nest.map_structure(
        lambda tensor: tf.compat.v1.placeholder(tensor.dtype, tensor.shape), tuple(spec)
    )
    outputs = definition.call(definition.build(mode), features, mode)
    return Drawing(features=features, labels=labels, outputs=outputs, loss=definition.loss(outputs, labels))


def _draw_step(definition: GraphFunctionDefinition, loss: Any, step: Any) -> tuple[Any, Any]:
    """The operation of one training step, and the object that keeps the averages, or None."""
    updates = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)
    trained = tf.compat.v1.trainable_variables()
    with tf.control_dependencies(updates):
        one_step = definition.optimizer().minimize(loss, global_step=step)
    decay = definition.training.average_decay
    if decay is None:
        return one_step, None
    average = tf.compat.v1.train.ExponentialMovingAverage(decay, num_updates=step)
    with tf.control_dependencies([one_step]):
        return average.apply(trained), average


def _draw_evaluations(
    definition: GraphFunctionDefinition, spec: Any, average: Any
) -> tuple[Drawing, Drawing | None]:
    evaluated = draw_mode(definition, Mode.EVALUATE, spec)
    if average is None:
        return evaluated, None

    def averaged_variable(getter: Any, *args: Any, **kwargs: Any) -> Any:
        return _averaged(average, getter(*args, **kwargs))

    scope = tf.compat.v1.get_variable_scope()
    token = replaced.set(functools.partial(_averaged, average))
    try:
        with tf.compat.v1.variable_scope(scope, custom_getter=averaged_variable):
            return evaluated, draw_mode(definition, Mode.EVALUATE, spec)
    finally:
        replaced.reset(token)


def _averaged(average: Any, variable: Any) -> Any:
    """The average of a variable, or the variable if it has none."""
    parts = partitions(variable)
    if parts is None:
        mean = average.average(variable)
        return variable if mean is None else mean
    if any(average.average(part) is None for part in variable):
        return variable
    # The averages of a partitioned variable's parts, as a partitioned variable.
    return type(variable)(
        name=variable.name,
        shape=variable.get_shape(),
        dtype=variable.dtype,
        variable_list=[average.average(part) for part in variable],
        partitions=parts,
    )


def _initialize_averages(average: Any, weights: Iterable[Any]) -> Any:
    pairs = [(average.average(weight), weight) for weight in weights] if average is not None else []
    return tf.group(*(mean.assign(weight) for mean, weight in pairs if mean is not None))


def _demand_shared(where: str, training_variables: list[Any]) -> None:
    names = {variable.name for variable in training_variables}
    fresh = [v.op.name for v in tf.compat.v1.global_variables() if v.name not in names]
    if fresh:
        raise InvalidDefinition(
            f"{where}: expected that evaluation uses the variables of training, got new variables:"
            f" {short_list(fresh, 'new variables')}. Create variables with tf.compat.v1.get_variable, with"
            " the same names in every mode."
        )
