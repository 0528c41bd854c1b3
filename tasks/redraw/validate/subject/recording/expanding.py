"""Inline the function calls of a SavedModel's graph with TensorFlow, so that a session can feed any tensor.

The result has the operations between the signatures' inputs and outputs, those that update variables on
the way, and those that a loader runs. The operations themselves do not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from redraw.compat.tensorflow import flat_function
from redraw.errors import InvalidDefinition
from redraw.recorded.nodes import follow_calls, node_name
from redraw.recorded.operations import output_types_of
from redraw.validate.subject.recording.layers import READ

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_INITIALIZER = "__saved_model_init_op"
_INITIALIZERS = ("saved_model_main_op", "legacy_init_op")
_MOST_CALLS = 20_000


def expand_saved_model(meta_graph: Any, outputs: Iterable[str], cuts: Iterable[str]) -> None:
    """Inline the functions that the outputs call, under the names of the calls.

    Args:
        meta_graph: A `MetaGraphDef`; it is changed in place.
        outputs: The output tensors.
        cuts: The tensors that requests feed; operations that only lead to these are removed.

    Raises:
        InvalidDefinition: A function calls itself.
    """
    graph, outputs, cuts = meta_graph.graph_def, list(outputs), list(cuts)
    nodes = {node.name: node for node in graph.node}
    functions = {function.signature.name: function for function in graph.library.function}
    for name in dict.fromkeys(map(node_name, cuts)):
        _cut(nodes, name)
    with tf.Graph().as_default():
        tf.graph_util.import_graph_def(graph_pb2.GraphDef(library=graph.library), name="")
        updates = _expand(nodes, functions, outputs)
    reachable = _reach(nodes, [*outputs, *cuts, *updates], controls=False)
    reachable |= _reach(nodes, _loading(meta_graph), controls=True)
    fresh = graph_pb2.GraphDef(versions=graph.versions)
    for name in sorted(reachable):
        node = fresh.node.add()
        node.CopyFrom(nodes[name])
        node.input[:] = [source for source in node.input if node_name(source) in reachable]
        if node.op == "VarHandleOp":
            read = fresh.node.add(name=f"{name}{READ}", op="ReadVariableOp", input=[f"{name}:0"])
            read.attr["dtype"].type = node.attr["dtype"].type
    fresh.library.function.extend(functions[name] for name in follow_calls(fresh.node, functions))
    graph.CopyFrom(fresh)
    meta_graph.ClearField("object_graph_def")


def _loading(meta_graph: Any) -> Iterator[str]:
    """The tensors and operations that a loader runs or feeds."""
    yield from (meta_graph.saver_def.filename_tensor_name, meta_graph.saver_def.restore_op_name)
    yield from (asset.tensor_info.name for asset in meta_graph.asset_file_def)
    if _INITIALIZER in meta_graph.signature_def:
        yield from (info.name for info in meta_graph.signature_def[_INITIALIZER].outputs.values())
    for key in _INITIALIZERS:
        if key in meta_graph.collection_def:
            yield from meta_graph.collection_def[key].node_list.value


def _reach(nodes: dict[str, Any], tensors: Iterable[str], *, controls: bool) -> set[str]:
    queue = [name for name in dict.fromkeys(map(node_name, tensors)) if name in nodes]
    seen = set(queue)
    for name in queue:
        for source in nodes[name].input:
            before = node_name(source)
            if before not in seen and before in nodes and (controls or not source.startswith("^")):
                seen.add(before)
                queue.append(before)
    return seen


def _cut(nodes: dict[str, Any], name: str) -> None:
    """Replace the inputs of an operation that requests feed by placeholders."""
    node = nodes.get(name)
    if node is None or node.op.startswith("Placeholder"):
        return
    types = output_types_of(node) or [tf.float32.as_datatype_enum]
    sources = []
    for number, kind in enumerate(types):
        source = node_def_pb2.NodeDef(name=f"{name}/cut_{number}", op="Placeholder")
        source.attr["dtype"].type = kind % 100
        nodes[source.name] = source
        sources.append(f"{source.name}:0")
    nodes[name] = _identities(name, sources, [kind % 100 for kind in types])


def _identities(name: str, tensors: list[str], types: Iterable[int]) -> Any:
    node = node_def_pb2.NodeDef(name=name, op="IdentityN" if tensors else "NoOp", input=tensors)
    if tensors:
        node.attr["T"].list.type.extend(types)
    return node


def _expand(nodes: dict[str, Any], functions: dict[str, Any], outputs: list[str]) -> list[str]:
    """Inline the calls that outputs reach, nested ones too; returns the operations that assign variables."""
    updates: list[str] = []
    queue = [n for n in _reach(nodes, outputs, controls=False) if nodes[n].op in _CALLS]
    for count, name in enumerate(queue):
        if count > _MOST_CALLS:
            raise InvalidDefinition(
                f"function {nodes[name].attr['f'].func.name!r}: expected at most {_MOST_CALLS} calls, got"
                " more, because the function calls itself. Write the model as a definition."
            )
        function = functions[nodes[name].attr["f"].func.name]
        inner = _inline(nodes[name], function)
        updates += [node.name for node in inner if node.op.startswith("Assign")]
        queue += [node.name for node in inner if node.op in _CALLS]
        nodes.update({node.name: node for node in inner})
    return updates


def _inline(call: Any, function: Any) -> list[Any]:
    """A function's nodes: arguments become copies of the call's inputs, the call a copy of the results."""
    body, names = flat_function(function)
    inputs = [source for source in call.input if not source.startswith("^")]
    arguments = {argument.name: n for n, argument in enumerate(function.signature.input_arg)}
    placed = []
    for node in body.node:
        if node.name in arguments:
            kind, source = node.attr["dtype"].type, inputs[arguments[node.name]]
            node.op, node.input[:] = "Identity", [source]
            node.attr.clear()
            node.attr["T"].type = kind
        else:
            node.input[:] = [
                f"^{call.name}/{source[1:]}" if source.startswith("^") else f"{call.name}/{source}"
                for source in node.input
            ]
        node.name = f"{call.name}/{node.name}"
        placed.append(node)
    results = [f"{call.name}/{names[function.ret[out.name]]}" for out in function.signature.output_arg]
    return [*placed, _identities(call.name, results, (out.type for out in function.signature.output_arg))]
