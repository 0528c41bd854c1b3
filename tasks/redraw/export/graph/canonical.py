"""Bring a graph into a canonical form, so that the same definition gives the same bytes.

TensorFlow numbers functions and tables through the life of a process, keeps nodes that only
drawing or training needs, and names devices and files of this machine. None of that is
served. This module removes it, and names the rest by its place in the graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from redraw.errors import InvalidDefinition
from redraw.export.graph.pruning import drop_unneeded
from redraw.recorded.nodes import functions_in_attributes

_COUNT = re.compile(r"_(\d+)(?!\d)")
# The name of a table's initializer (KeyValueTensorInitializer in lookup_ops.py).
_COUNTED_INITIALIZER = re.compile(r"(key_value_init)(\d+)")
_VARIABLE_OPS = {"VarHandleOp", "VariableV2", "Variable"}
_PYTHON_OPS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
# The functions of a call's gradient, whose names have a counter of the process; and the nodes that
# share a device.
_DROPPED_ATTRIBUTES = ("_gradient_op_type", "forward_function_name", "backward_function_name", "_class")
# These make XLA compile a function. A server without XLA would refuse each request; answers are the same.
_COMPILED = "_Xla"
# The only one of a call's settings that affects what it computes; the others list the devices of
# this machine.
_CALL_SETTINGS = tf.compat.v1.ConfigProto(allow_soft_placement=True).SerializeToString()


def make_canonical(meta_graph: Any) -> None:
    """Bring a graph that TensorFlow made for a SavedModel into its canonical form, in place.

    Args:
        meta_graph: A `MetaGraphDef` with its object graph, or of TF1 with its collections of
            variables.

    Raises:
        InvalidDefinition: A signature reaches a Python function, which no server has.
    """
    order = drop_unneeded(meta_graph)
    names = [function.signature.name for function in order]
    rename = _Renaming({name: f"{_uncounted(name)}_{number}" for number, name in enumerate(names)})
    nodes = list(meta_graph.graph_def.node)
    for function in order:
        nodes.extend(function.node_def)
        _rename_function(function, rename)
    for node in nodes:
        _rename_node(node, rename)
    _rename_objects(meta_graph.object_graph_def, rename)
    meta_graph.graph_def.library.function.sort(key=lambda function: function.signature.name)
    _normalize(nodes)
    _demand_no_python(nodes)
    operations = {node.op for node in nodes}
    stripped = meta_graph.meta_info_def.stripped_op_list
    used_operations = [definition for definition in stripped.op if definition.name in operations]
    stripped.CopyFrom(type(stripped)(op=used_operations))


class _Renaming:
    """Replaces names with counters wherever they occur, also in arguments named after functions."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        counted: dict[str, list[str]] = {}
        for name in sorted(names, key=len, reverse=True):
            counted.setdefault(name.rpartition("_")[2], []).append(name)
        self._by_count = counted
        self._initializers: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        new_name = self._names.get(text)
        if new_name is not None:
            return new_name
        renamed, end = "", 0
        for match in _COUNT.finditer(text):
            name = self._name_at_end(text[end : match.end()], match[1])
            if name is not None:
                renamed += text[end : match.end() - len(name)] + self._names[name]
                end = match.end()
        return _COUNTED_INITIALIZER.sub(self._initializer, renamed + text[end:])

    def _initializer(self, match: re.Match[str]) -> str:
        return f"{match[1]}_{self._initializers.setdefault(match[2], len(self._initializers))}"

    def _name_at_end(self, text: str, count: str) -> str | None:
        return next((name for name in self._by_count.get(count, ()) if text.endswith(name)), None)


def _uncounted(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


def _rename_function(function: Any, rename: _Renaming) -> None:
    signature = function.signature
    signature.name = rename(signature.name)
    for argument in (*signature.input_arg, *signature.output_arg):
        argument.name = rename(argument.name)
    signature.control_output[:] = [rename(name) for name in signature.control_output]
    for tensors in (function.ret, function.control_ret):
        renamed = {rename(name): rename(tensor) for name, tensor in tensors.items()}
        tensors.clear()
        tensors.update(renamed)
    _normalize_attributes(function.attr)
    for argument in function.arg_attr.values():
        # The user's name; for a captured tensor a number, or the name of a function's argument.
        name = argument.attr["_user_specified_name"].s if "_user_specified_name" in argument.attr else b""
        if name.isdigit():
            del argument.attr["_user_specified_name"]
        elif name:
            argument.attr["_user_specified_name"].s = rename(name.decode()).encode()


def _rename_node(node: Any, rename: _Renaming) -> None:
    node.name, node.op = rename(node.name), rename(node.op)
    node.input[:] = [rename(name) for name in node.input]
    for function in functions_in_attributes(node):
        function.name = rename(function.name)


def _rename_objects(graph: Any, rename: _Renaming) -> None:
    for node in graph.nodes:
        kind = node.WhichOneof("kind")
        if kind == "function":
            node.function.concrete_functions[:] = [rename(name) for name in node.function.concrete_functions]
        elif kind == "bare_concrete_function":
            bare = node.bare_concrete_function
            bare.concrete_function_name = rename(bare.concrete_function_name)
    for name in sorted(graph.concrete_functions):
        renamed = rename(name)
        if renamed != name:
            graph.concrete_functions[renamed].CopyFrom(graph.concrete_functions[name])
            del graph.concrete_functions[name]


def _normalize(nodes: Iterable[Any]) -> None:
    shared: dict[bytes, bytes] = {}
    for node in nodes:
        node.ClearField("device")
        node.ClearField("experimental_debug_info")
        _normalize_attributes(node.attr)
        # A variable is shared by its name, a table by a counter or by its file's path.
        if node.op not in _VARIABLE_OPS and "shared_name" in node.attr:
            name = node.attr["shared_name"]
            name.s = shared.setdefault(name.s, b"resource_%d" % len(shared)) if name.s else b""


def _normalize_attributes(attributes: Any) -> None:
    for name in list(attributes):
        if name in _DROPPED_ATTRIBUTES or name.startswith(_COMPILED):
            del attributes[name]
    if "config_proto" in attributes:
        attributes["config_proto"].s = _CALL_SETTINGS


def _demand_no_python(nodes: Iterable[Any]) -> None:
    for node in nodes:
        if node.op in _PYTHON_OPS:
            raise InvalidDefinition(
                f"operation {node.name!r}, which a signature reaches: expected TensorFlow's own operations,"
                f" got a call of Python code ({node.op}), which no model server can run. Replace"
                " tf.py_function and tf.numpy_function by TensorFlow operations."
            )
