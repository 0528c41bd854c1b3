"""Draw the graph that serves every signature of a definition, without values of variables."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from redraw.compat.tensorflow import build_meta_graph
from redraw.definition import GraphFunctionDefinition, Mode, ModelDefinition
from redraw.definition.user_code import running_user_code
from redraw.errors import InvalidDefinition
from redraw.export.graph.canonical import make_canonical
from redraw.export.graph.declared import Declarations, draw_declared
from redraw.export.graph.drawn import DrawnGraph, DrawnVariable
from redraw.export.graph.graph_functions import draw_graph_function
from redraw.export.graph.places import find_places
from redraw.export.graph.reachable import Captures, find_captures
from redraw.export.graph.tracing import restore_names, trace_signature
from redraw.networks.layers.drawn import describe_network
from redraw.networks.layers.layer import Model
from redraw.networks.modules import draw_network, known_by_own_names

logger = logging.getLogger(__name__)

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def draw_graph(definition: ModelDefinition) -> DrawnGraph:
    """Draw a definition for serving, with variables that are declared and not allocated.

    Returns:
        The graph with every signature, and the variables that a signature reaches. The same
        definition gives the same graph, including all names.

    Raises:
        InvalidDefinition: It cannot be drawn, or uses what no server can have: Python
            functions, tables that change, variables outside of the network.
    """
    if isinstance(definition, GraphFunctionDefinition):
        return draw_graph_function(definition)
    started = time.monotonic()
    graph = draw_declared(lambda declarations: _draw(definition, declarations))
    logger.info("drew %d variables in %.1f s", len(graph.variables), time.monotonic() - started)
    return graph


def draw_layers(definition: ModelDefinition) -> Model:
    """Describe the layers of Keras that a definition draws for serving.

    Returns:
        The layers; none for a TF1 graph function or a `tf.Module` without layers.

    Raises:
        InvalidDefinition: It cannot be drawn.
    """
    if isinstance(definition, GraphFunctionDefinition):
        return Model(layers=())
    return describe_network(draw_declared(lambda declarations: _traced(definition, declarations)[0]))


def _traced(definition: ModelDefinition, declarations: Declarations) -> tuple[Any, dict[str, Any]]:
    network = draw_network(definition, Mode.SERVE, declarations.in_force())
    functions = {
        name: trace_signature(definition, network, name, signature, declarations)
        for name, signature in sorted(definition.signatures.items())
    }
    return network, functions


def _draw(definition: ModelDefinition, declarations: Declarations) -> DrawnGraph:
    network, functions = _traced(definition, declarations)
    captures = find_captures(network, functions.values())
    root = tf.Module()
    root.weights = list(captures.variables.values())
    root.constants = list(captures.constants.values())
    # A server also has to find lookup tables and assets, which are not variables.
    root.resources = captures.resources
    # TensorFlow refuses resources without an owner, and missing files.
    with running_user_code(
        f"{type(definition).__module__}.{type(definition).__name__}, as a graph to serve,"
    ):
        meta_graph, assets = build_meta_graph(root, functions, _save_options())
    for name, signature in definition.signatures.items():
        restore_names(meta_graph, name, signature.inputs)
    meta_graph.meta_info_def.tags[:] = [tf.saved_model.SERVING]
    text = _object_graph_text(meta_graph)
    graph = DrawnGraph(
        meta_graph=meta_graph,
        variables=tuple(_variables(captures, text)),
        texts={_OBJECT_GRAPH: text},
        assets={_text(name): Path(_text(path)) for name, path in assets.items()},
        known_by="name" if known_by_own_names(network) else "path",
        unreached=tuple(_described(name, "", v) for name, v in sorted(captures.others.items())),
        places=find_places(network, {**captures.variables, **captures.others}),
    )
    make_canonical(meta_graph)
    return graph


def _save_options() -> Any:
    # Only training needs gradients, and their names have a counter of the process.
    return tf.saved_model.SaveOptions(experimental_custom_gradients=False)


def _object_graph_text(meta_graph: Any) -> bytes:
    """The object graph of the SavedModel's variables, a constant of its save operation."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    save_call = nodes[meta_graph.saver_def.save_tensor_name.partition(":")[0]]
    inputs = (nodes[tensor.partition(":")[0]] for tensor in save_call.input if not tensor.startswith("^"))
    constants = [node for node in inputs if node.op == "Const"]
    (text,) = (node.attr["value"].tensor.string_val[0] for node in constants)
    return text


def _variables(captures: Captures, text: bytes) -> Iterator[DrawnVariable]:
    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(text)
    keys = set()
    for attribute, variables in (("weights", captures.variables), ("constants", captures.constants)):
        holder = graph.nodes[_children(graph, 0)[attribute]]
        for child, (name, variable) in zip(holder.children, variables.items(), strict=True):
            (saved,) = graph.nodes[child.node_id].attributes
            keys.add(saved.checkpoint_key)
            value = variable.numpy() if attribute == "constants" else None
            yield _described(name, saved.checkpoint_key, variable, value)
    others = [
        a.full_name or a.name for node in graph.nodes for a in node.attributes if a.checkpoint_key not in keys
    ]
    if others:
        raise InvalidDefinition(
            "signatures: expected only variables and tables with an initializer, got other state:"
            f" {', '.join(sorted(others))}. Use tf.lookup.StaticHashTable for tables."
        )


def _children(graph: Any, number: int) -> Mapping[str, int]:
    return {child.local_name: child.node_id for child in graph.nodes[number].children}


def _described(name: str, key: str, variable: Any, value: Any = None) -> DrawnVariable:
    if not variable.shape.is_fully_defined():
        raise InvalidDefinition(
            f"variable {name!r}: expected a fully defined shape, got {variable.shape}. Give the variable a"
            " shape without unknown dimensions."
        )
    return DrawnVariable(
        name=name,
        key=key,
        dtype=variable.dtype.name,
        shape=tuple(variable.shape),
        value=value,
        trainable=bool(variable.trainable),
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
