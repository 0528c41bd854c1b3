"""Remove from a graph what its signatures, tables and restore operations do not need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tensorflow.core.framework import variable_pb2

from redraw.recorded.nodes import follow_calls, node_name


def drop_unneeded(meta_graph: Any) -> list[Any]:
    """Drop the nodes and functions that a SavedModel does not use, in place.

    Args:
        meta_graph: A `MetaGraphDef` with its object graph, or of TF1 with its collections of
            variables.

    Returns:
        The remaining functions, in the order of their first use.
    """
    graph = meta_graph.graph_def
    reachable = reachable_nodes(graph, _roots(meta_graph))
    _keep(graph.node, lambda node: node.name in reachable)
    functions = {function.signature.name: function for function in graph.library.function}
    order = follow_calls(graph.node, functions, _functions_of_objects(meta_graph.object_graph_def))
    _keep(graph.library.function, lambda function: function.signature.name in order)
    # Only training needs gradients.
    del graph.library.gradient[:]
    del graph.library.registered_gradients[:]
    functions = {function.signature.name: function for function in graph.library.function}
    return [functions[name] for name in order]


def reachable_nodes(graph: Any, starts: Iterable[str]) -> set[str]:
    """The names of all nodes that some nodes or tensors need, including these.

    Args:
        graph: A `GraphDef`.
        starts: Names of nodes or tensors; empty ones are ignored.
    """
    nodes = {node.name: node for node in graph.node}
    queue = list(dict.fromkeys(node_name(name) for name in starts if name))
    visited = set(queue)
    for name in queue:
        for tensor in nodes[name].input:
            source = node_name(tensor)
            if source not in visited:
                visited.add(source)
                queue.append(source)
    return visited


def _keep(items: Any, predicate: Any) -> None:
    for number in reversed(range(len(items))):
        if not predicate(items[number]):
            del items[number]


def _roots(meta_graph: Any) -> Iterator[str]:
    for signature in meta_graph.signature_def.values():
        for tensor in (*signature.inputs.values(), *signature.outputs.values()):
            yield tensor.name
    saver = meta_graph.saver_def
    yield from (saver.filename_tensor_name, saver.save_tensor_name, saver.restore_op_name)
    yield from (asset.tensor_info.name for asset in meta_graph.asset_file_def)
    yield from (
        node.constant.operation
        for node in meta_graph.object_graph_def.nodes
        if node.WhichOneof("kind") == "constant"
    )
    for collection in meta_graph.collection_def.values():
        for described in map(variable_pb2.VariableDef.FromString, collection.bytes_list.value):
            yield from (described.variable_name, described.initializer_name)
            yield from (described.initial_value_name, described.snapshot_name)


def _functions_of_objects(graph: Any) -> Iterator[str]:
    for node in graph.nodes:
        kind = node.WhichOneof("kind")
        if kind == "function":
            yield from node.function.concrete_functions
        elif kind == "bare_concrete_function":
            yield node.bare_concrete_function.concrete_function_name
