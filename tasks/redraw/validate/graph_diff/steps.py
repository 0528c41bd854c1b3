"""Trace a step of training and one of evaluation like `redraw.train`, to compare the graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from redraw.compat.keras import every_layer
from redraw.definition import GraphFunctionDefinition, Mode, ModelDefinition
from redraw.definition.user_code import batches_of
from redraw.export.graph.declared import Declarations, draw_declared
from redraw.networks.conversion import trace_function
from redraw.networks.modules import draw_network, known_by_own_names, trainable_weights, weights_by_name
from redraw.train.average import update_average
from redraw.train.graph_training import draw_training
from redraw.validate.graph_diff.kinds import Kind


@dataclass(frozen=True, kw_only=True)
class DrawnStep:
    """A traced step.

    Attributes:
        graph: Its `GraphDef`.
        ends: The nodes that a run fetches.
        inputs: The placeholders of the batch's features.
        kinds: Node name to its kind.
        layers: Names of layers and of variable scopes.
    """

    graph: Any
    ends: tuple[str, ...]
    inputs: tuple[str, ...]
    kinds: Mapping[str, Kind]
    layers: frozenset[str]


def draw_step(definition: ModelDefinition, features: Any, labels: Any) -> DrawnStep:
    """Trace a training step of a Keras model or a module, without values of its variables.

    Args:
        definition: The model.
        features: `element_spec` of a batch's features.
        labels: `element_spec` of a batch's labels.

    Returns:
        Forward pass, loss, gradients, optimizer and moving average.
    """
    return draw_declared(lambda declarations: _trace_step(definition, (features, labels), declarations))


def draw_evaluation(definition: ModelDefinition) -> DrawnStep:
    """Trace an evaluation step: the network in EVALUATE mode, the loss and the metrics."""
    return draw_declared(lambda declarations: _trace_evaluation(definition, declarations))


def draw_graph_function_steps(definition: GraphFunctionDefinition, spec: Any) -> DrawnStep:
    """Draw the graph of a TF1 graph function that trains, evaluates and saves it.

    Args:
        definition: The model.
        spec: `element_spec` of the training data.

    Returns:
        The graph; the order in which training makes the operations tells their kinds.
    """
    with tf.Graph().as_default() as graph:
        drawn = draw_training(definition, spec, batches_of(definition, "evaluation_data").element_spec)
        saver = tf.compat.v1.train.Saver(tf.compat.v1.global_variables()).as_saver_def()
        places = {operation.name: place for place, operation in enumerate(graph.get_operations())}
        losses = [mode.loss for mode in (drawn.train, drawn.evaluated, drawn.averaged) if mode is not None]
        ends = (*(loss.op.name for loss in losses), drawn.train_step.name, saver.save_tensor_name)
    marks = {
        Kind.NETWORK: max(places[tensor.op.name] for tensor in tf.nest.flatten(drawn.train.outputs)),
        Kind.LOSS: places[drawn.train.loss.op.name],
        Kind.OPTIMIZER: places[drawn.train_step.name],
    }
    kinds = {name: _refine(name, kind) for name, kind in _by_place(list(places), marks)}
    return DrawnStep(
        graph=graph.as_graph_def(),
        ends=tuple(name.partition(":")[0] for name in ends),
        inputs=tuple(tensor.op.name for tensor in tf.nest.flatten(drawn.train.features)),
        kinds=kinds,
        layers=frozenset(part for weight in drawn.weights for part in weight.op.name.split("/")[:-1]),
    )


def _trace_step(definition: ModelDefinition, spec: Any, declarations: Declarations) -> DrawnStep:
    network = draw_network(definition, Mode.TRAIN, declarations.in_force())
    decay = definition.training.average_decay
    average = None if decay is None else draw_network(definition, Mode.EVALUATE, declarations.in_force())
    optimizer, step = definition.optimizer(), tf.Variable(0, dtype=tf.int64, name="step")
    marks: dict[Kind, int] = {}

    def train(features: Any, labels: Any) -> Any:
        def mark(kind: Kind) -> None:
            marks[kind] = len(tf.compat.v1.get_default_graph().get_operations()) - 1

        with declarations.in_force():
            with tf.GradientTape() as tape:
                outputs = definition.call(network, features, Mode.TRAIN)
                mark(Kind.NETWORK)
                loss = definition.loss(outputs, labels)
                mark(Kind.LOSS)
            variables = trainable_weights(network)
            plain = [v.value if isinstance(v, keras.Variable) else v for v in variables]
            gradients = tape.gradient(loss, plain)
            mark(Kind.GRADIENT)
            # Not earlier: to make its slots, Keras asks for the weights, which would give them memory.
            optimizer.build(variables)
            optimizer.apply(gradients, variables)
            mark(Kind.OPTIMIZER)
            if decay is not None:
                update_average(weights_by_name(average), weights_by_name(network), decay, step)
                mark(Kind.AVERAGE)
        return loss

    return _draw(train, spec, marks, network, declarations)


def _trace_evaluation(definition: ModelDefinition, declarations: Declarations) -> DrawnStep:
    network = draw_network(definition, Mode.EVALUATE, declarations.in_force())
    metrics = definition.metrics()

    def evaluate(features: Any, labels: Any) -> Any:
        with declarations.in_force():
            outputs = definition.call(network, features, Mode.EVALUATE)
            for metric in metrics.values():
                metric.update_state(labels, outputs)
            return definition.loss(outputs, labels)

    return _draw(
        evaluate, tuple(batches_of(definition, "evaluation_data").element_spec), {}, network, declarations
    )


def _draw(
    step: Callable[..., Any],
    spec: Any,
    marks: Mapping[Kind, int],
    network: Any,
    declarations: Declarations,
) -> DrawnStep:
    graph = trace_function(step, *spec, converted=declarations.converted).graph
    made = [operation.name for operation in graph.get_operations()]
    ends = [*(tensor.op.name for tensor in graph.outputs), *(op.name for op in graph.control_outputs)]
    features = len(tf.nest.flatten(spec[0], expand_composites=True))
    return DrawnStep(
        graph=graph.as_graph_def(),
        ends=tuple(dict.fromkeys(ends)),
        inputs=tuple(tensor.op.name for tensor in graph.inputs[:features]),
        kinds=dict(_by_place(made, marks)),
        layers=frozenset(_layers(network)),
    )


def _by_place(names: list[str], marks: Mapping[Kind, int]) -> Iterator[tuple[str, Kind]]:
    """The kind of each operation, by the first mark that was set after it was made."""
    for place, name in enumerate(names):
        kind = next((kind for kind, last in marks.items() if place <= last), Kind.EVALUATION)
        yield name, kind


def _refine(name: str, kind: Kind) -> Kind:
    """Refine the kind of `minimize`'s operations by TensorFlow's own scopes: gradients and averages."""
    scope = name.partition("/")[0]
    if kind is Kind.OPTIMIZER and scope.startswith("gradients"):
        return Kind.GRADIENT
    if kind is Kind.OPTIMIZER and scope.startswith("ExponentialMovingAverage"):
        return Kind.AVERAGE
    return kind


def _layers(network: Any) -> Iterator[str]:
    if known_by_own_names(network):
        yield from (layer.name for layer in every_layer(network))
    elif isinstance(network, tf.Module):
        yield from (getattr(module, "name", "") for module in (network, *network.submodules))
