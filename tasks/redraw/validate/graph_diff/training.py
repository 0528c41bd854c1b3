"""The graph that trains a definition, drawn like in training or recorded, without values of variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from redraw.definition import GraphFunctionDefinition, ModelDefinition, RecordedDefinition
from redraw.definition.user_code import batches_of, interrupted
from redraw.errors import RedrawError
from redraw.recorded.nodes import node_name
from redraw.validate.graph_diff.flatten import Operation, flatten_graph
from redraw.validate.graph_diff.kinds import Kind
from redraw.validate.graph_diff.steps import DrawnStep, draw_evaluation, draw_graph_function_steps, draw_step
from redraw.validate.outcome import CannotRun

_IGNORE_STATE = 1  # of tf.data's ExternalStatePolicy: nothing runs the copy


@dataclass(frozen=True, kw_only=True)
class TrainingGraph:
    """The operations that training and its evaluations run.

    Attributes:
        operations: Every operation with its kind. Comparing the graphs refines the kind of the
            network's operations, for example to dropout.
        inputs: The tensors that the input pipeline gives, each as name, dtype and shape.
        layers: Names of layers and scopes, by which numbered scopes are recognized.
    """

    operations: list[tuple[Operation, Kind]]
    inputs: tuple[str, ...]
    layers: frozenset[str]


def draw_training_graph(definition: ModelDefinition) -> TrainingGraph:
    """Draw forward pass, loss, gradients, optimizer, averages, evaluation and input pipeline.

    Raises:
        CannotRun: The definition cannot be drawn for training here, for example without its data.
    """
    if isinstance(definition, RecordedDefinition):
        return _graph_of([_read_recorded_step(definition)], (), tuple(definition.inputs))
    if lacking := definition.lacks("training_data", "evaluation_data", "loss"):
        why = f"the definition only exports: without {', '.join(lacking)} there is no training graph"
        raise CannotRun(why, f"Add {', '.join(lacking)} to the definition.", excused=why)
    try:
        batches = batches_of(definition, "training_data")
        features, labels = batches.element_spec
        if isinstance(definition, GraphFunctionDefinition):
            steps = [draw_graph_function_steps(definition, batches.element_spec)]
        else:
            steps = [draw_step(definition, features, labels), draw_evaluation(definition)]
        pipeline = _of_pipeline(batches)
        return _graph_of(steps, pipeline, tuple(_describe("features", features)))
    except (RedrawError, CannotRun):
        raise
    # A definition's methods may raise anything.
    except BaseException as err:
        if interrupted(err):
            raise
        raise CannotRun(
            f"the training graph cannot be built: {type(err).__name__}: {_last_line(err)}",
            "Make the definition's training data readable from this machine, or waive the check: --waive"
            " graphs-compared=REASON.",
        ) from err


def _graph_of(
    steps: list[DrawnStep], pipeline: Iterable[tuple[Operation, Kind]], inputs: tuple[str, ...]
) -> TrainingGraph:
    return TrainingGraph(
        operations=[*pipeline, *(pair for step in steps for pair in _of_step(step))],
        inputs=inputs,
        layers=frozenset(name for step in steps for name in step.layers),
    )


def _of_step(step: DrawnStep) -> Iterable[tuple[Operation, Kind]]:
    for operation in flatten_graph(step.graph, step.ends, step.inputs).operations:
        yield operation, step.kinds.get(operation.top, Kind.EVALUATION)


def _of_pipeline(batches: Any) -> Iterable[tuple[Operation, Kind]]:
    text = tf.raw_ops.DatasetToGraphV2(
        # This operation is the only public way to a data set's graph.
        input_dataset=tf.data.experimental.to_variant(batches),
        external_state_policy=_IGNORE_STATE,
    )
    graph = tf.compat.v1.GraphDef.FromString(text.numpy())
    flat = flatten_graph(graph, [node.name for node in graph.node])
    return [(op, Kind.INPUT) for op in flat.operations]


def _describe(name: str, spec: Any) -> Iterable[str]:
    if isinstance(spec, Mapping):
        return [text for key in spec for text in _describe(str(key), spec[key])]
    if isinstance(spec, (tuple, list)):
        return [text for number, part in enumerate(spec) for text in _describe(f"{name}_{number}", part)]
    shape = getattr(spec, "shape", None)
    dimensions = "?" if shape is None or shape.rank is None else list(shape)
    return [f"{name}: {getattr(getattr(spec, 'dtype', None), 'name', type(spec).__name__)} {dimensions}"]


def _last_line(err: BaseException) -> str:
    """The last line of an error's message; traced code puts its own lines before it."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def _read_recorded_step(definition: RecordedDefinition) -> DrawnStep:
    """The recorded training graph: what leads to the inputs is the pipeline, the rest the network."""
    graph = definition.opened.meta_graph.graph_def
    sources = {node.name: [node_name(name) for name in node.input] for node in graph.node}
    cuts = {node_name(tensor) for tensor in definition.inputs.values()}
    network = _before(sources, map(node_name, definition.outputs.values()), cuts)
    pipeline = _before(sources, cuts, set()) - cuts
    read = {source for before in sources.values() for source in before}
    return DrawnStep(
        graph=graph,
        ends=tuple(name for name in sources if name not in read),
        inputs=tuple(cuts),
        kinds={name: _kind(name, network, pipeline) for name in sources},
        layers=frozenset(),
    )


def _before(sources: Mapping[str, list[str]], ends: Iterable[str], stop: set[str]) -> set[str]:
    queue: list[Any] = list(dict.fromkeys(ends))
    seen = set(queue)
    for name in queue:
        for source in sources.get(name, ()) if name not in stop else ():
            if source not in seen:
                seen.add(source)
                queue.append(source)
    return seen


def _kind(name: str, network: set[str], pipeline: set[str]) -> Kind:
    if name in network:
        return Kind.NETWORK
    if name in pipeline:
        return Kind.INPUT
    # TensorFlow's own scopes tell the rest.
    scope = name.partition("/")[0]
    if scope.startswith("gradients"):
        return Kind.GRADIENT
    if scope.startswith("save"):
        return Kind.SAVING
    return Kind.AVERAGE if scope.startswith("ExponentialMovingAverage") else Kind.LOSS
