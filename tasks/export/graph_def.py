"""Reduce a `GraphDef` to what is asked of it, in bytes that the next drawing gives again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from tasks.errors import InvalidDefinition

__all__ = ["reached_nodes", "reduce_graph"]

# A variable's shared name is its own; it says which variable, not which drawing.
_VARIABLES = {"VarHandleOp", "VariableV2", "Variable"}
# Colocation; and by what counter of the process a call's gradient is registered.
_DROPPED_ATTRIBUTES = ("_class", "_gradient_op_type")
# What a call carries of the settings of the process that drew it, its devices among them.
_CALL_SETTINGS = "config_proto"
_PYTHON_OPERATIONS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


def reduce_graph(graph: Any, keep: Iterable[str]) -> Any:
    """What some nodes of a graph need, without the traces of the process that drew it.

    Devices and colocation go, for a server places operations itself. TensorFlow numbers
    functions by a counter of the process, and names tables after a random number or a
    local path; both are named afresh, by their order.

    Args:
        graph: A `GraphDef`; left as it is.
        keep: Names of nodes.

    Returns:
        A new `GraphDef`, its nodes in the same order.

    Raises:
        InvalidDefinition: A node calls Python, which no server has.
    """
    kept = reached_nodes(graph, keep)
    reduced = tf.compat.v1.GraphDef(versions=graph.versions)
    reduced.node.extend(node for node in graph.node if node.name in kept)
    functions = {function.signature.name: function for function in graph.library.function}
    names = _name_functions(reduced.node, functions)
    for name in names:
        reduced.library.function.add().CopyFrom(functions[name])
    shared: dict[bytes, bytes] = {}
    for node in [*reduced.node, *(n for function in reduced.library.function for n in function.node_def)]:
        _forget_process(node)
        _rename_functions(node, names)
        _rename_shared(node, shared)
    for function in reduced.library.function:
        _rename_within(function, names)
    return reduced


def reached_nodes(graph: Any, starts: Iterable[str]) -> set[str]:
    """The names of all nodes that some nodes need, these included.

    Args:
        graph: A `GraphDef`.
        starts: Names of nodes.

    Returns:
        Names of nodes.
    """
    nodes = {node.name: node for node in graph.node}
    queue = list(dict.fromkeys(starts))
    seen = set(queue)
    for name in queue:
        for source in nodes[name].input:
            origin = source.removeprefix("^").partition(":")[0]
            if origin not in seen:
                seen.add(origin)
                queue.append(origin)
    return seen


def _name_functions(nodes: Iterable[Any], functions: Mapping[str, Any]) -> dict[str, str]:
    """Every function that the nodes call, directly or not, with its new name."""
    queue = list(dict.fromkeys(name for node in nodes for name in _called(node, functions)))
    names: dict[str, str] = {}
    taken: set[str] = set()
    for name in queue:
        stem = re.sub(r"(_\d+)+$", "", name)
        names[name] = next(n for n in _numbered(stem) if n not in taken)
        taken.add(names[name])
        called = (c for node in functions[name].node_def for c in _called(node, functions))
        queue.extend(c for c in dict.fromkeys(called) if c not in queue)
    return names


def _numbered(stem: str) -> Iterator[str]:
    number = 0
    while True:
        yield f"{stem}_{number}"
        number += 1


def _called(node: Any, functions: Mapping[str, Any]) -> Iterator[str]:
    if node.op in functions:
        yield node.op
    for _, value in sorted(node.attr.items()):
        for function in (value.func, *value.list.func):
            if function.name in functions:
                yield function.name


def _forget_process(node: Any) -> None:
    if node.op in _PYTHON_OPERATIONS:
        raise InvalidDefinition(
            f"operation {node.name!r}: expected TensorFlow's own operations, got a call of Python"
            f" ({node.op}). Use TensorFlow operations in place of tf.py_function or tf.numpy_function."
        )
    node.device = ""
    for attribute in _DROPPED_ATTRIBUTES:
        node.attr.pop(attribute, None)
    if _CALL_SETTINGS in node.attr:
        node.attr[_CALL_SETTINGS].s = b""


def _rename_functions(node: Any, names: Mapping[str, str]) -> None:
    node.op = names.get(node.op, node.op)
    for value in node.attr.values():
        kind = value.WhichOneof("value")
        called = [value.func] if kind == "func" else value.list.func if kind == "list" else []
        for function in called:
            function.name = names.get(function.name, function.name)


def _rename_within(function: Any, names: Mapping[str, str]) -> None:
    """Rename a function, and its arguments and nodes that are called after a function."""
    # The longest first, or `body_1` would be found in `body_12`.
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))

    def fresh(text: str) -> str:
        return re.sub(known, lambda found: names[found.group()], text)

    function.signature.name = names[function.signature.name]
    for named in (*function.signature.input_arg, *function.signature.output_arg, *function.node_def):
        named.name = fresh(named.name)
    for node in function.node_def:
        node.input[:] = [fresh(name) for name in node.input]
    function.signature.control_output[:] = [fresh(name) for name in function.signature.control_output]
    for returned in (function.ret, function.control_ret):
        renamed = {fresh(key): fresh(value) for key, value in returned.items()}
        returned.clear()
        returned.update(renamed)


def _rename_shared(node: Any, shared: dict[bytes, bytes]) -> None:
    known = node.attr["shared_name"].s if "shared_name" in node.attr else b""
    if known and node.op not in _VARIABLES:
        # What shared a name goes on sharing one: that of the first node that has it.
        node.attr["shared_name"].s = shared.setdefault(known, node.name.encode())
