"""Trace a definition's `serve` into one function for each signature, with any names of inputs.

A Python argument cannot have a name such as `image/encoded` or `user-id` of a `tf.Example`. TensorFlow passes
a function's inputs by keyword, and changes names that are not valid arguments. So the function is traced with
other names, and the graph then gets the definition's names.
"""

from __future__ import annotations

import contextlib
import keyword
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from redraw.definition import ModelDefinition
from redraw.definition.user_code import running_user_code
from redraw.export.graph.declared import Declarations
from redraw.networks.conversion import trace_function
from redraw.networks.graph_functions import operation_name
from redraw.networks.modules import renew_derived_constants
from redraw.records import Signature

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# Arguments of the functions that forward them.
_TAKEN = {"self", "function", "converted"}


def trace_signature(
    definition: ModelDefinition, network: Any, name: str, signature: Signature, declarations: Declarations
) -> Any:
    """Trace one signature.

    Args:
        definition: The model.
        network: Its network for serving.
        name: The signature's name.
        signature: Its inputs and outputs.
        declarations: Declares the variables that `serve` creates.

    Raises:
        InvalidDefinition: `serve` raises.
        NeedsConversion: It raises without autograph, which the declarations do not use.
    """
    where = f"{type(definition).__module__}.{type(definition).__name__}.serve, signature {name!r}"
    names = argument_names(signature.inputs)

    def serve(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        with declarations.in_force():
            renew_derived_constants(network)
            # A server does not check a request's shapes against the signature, and another shape
            # may kill it: oneDNN's convolution aborts the process on another rank.
            values = {
                i: tf.ensure_shape(inputs[names[i]], spec.shape) for i, spec in signature.inputs.items()
            }
            outputs = definition.serve(network, name, values)
            with tf.control_dependencies([*values.values()]):  # also checks unused inputs
                return {o: tf.identity(outputs[o], name=operation_name(o)) for o in outputs}

    # A failure without autograph is not an error yet.
    with running_user_code(where) if declarations.converted else contextlib.nullcontext():
        return trace_function(
            serve,
            converted=declarations.converted,
            **{names[i]: tf.TensorSpec(s.shape, s.dtype, names[i]) for i, s in signature.inputs.items()},
        )


def argument_names(inputs: Iterable[str]) -> dict[str, str]:
    """The name of each input while its signature is traced: its own if Python allows it."""
    inputs = list(inputs)
    odd = [name for name in inputs if not _may_be_argument(name)]
    free = (name for number in range(2 * len(inputs)) if (name := f"input_{number}") not in inputs)
    return {name: name for name in inputs} | dict(zip(odd, free, strict=False))


def restore_names(meta_graph: Any, signature: str, inputs: Iterable[str]) -> None:
    """Restore the definition's names of a signature's inputs, for servers and, if possible, for Python.

    Args:
        meta_graph: The `MetaGraphDef` to change.
        signature: The signature's name.
        inputs: Its inputs' names in the definition.
    """
    names = {argument: name for name, argument in argument_names(inputs).items() if argument != name}
    if not names:
        return
    _rename_keys(meta_graph.signature_def[signature].inputs, names)
    # TensorFlow's Python loader makes a function with these arguments, or fails.
    names_in_python = Counter(map(_sanitized, argument_names(inputs)))
    names = {
        a: n
        for a, n in names.items()
        if names_in_python[_sanitized(n)] == 1 and _may_be_argument(_sanitized(n))
    }
    nodes = meta_graph.object_graph_def.nodes
    holder = nodes[_children(nodes[0])["signatures"]]
    function = nodes[_children(holder)[signature]].bare_concrete_function
    function.argument_keywords[:] = [names.get(word, word) for word in function.argument_keywords]
    words = function.function_spec.fullargspec.named_tuple_value.values
    for word in (
        value for pair in words if pair.key == "kwonlyargs" for value in pair.value.list_value.values
    ):
        word.string_value = names.get(word.string_value, word.string_value)
    concrete = meta_graph.object_graph_def.concrete_functions[function.concrete_function_name]
    for value in concrete.canonicalized_input_signature.tuple_value.values:
        _rename_keys(value.dict_value.fields, names)
        for name, field in value.dict_value.fields.items():
            field.tensor_spec_value.name = name


def _may_be_argument(name: str) -> bool:
    return bool(_PLAIN.fullmatch(name)) and not keyword.iskeyword(name) and name not in _TAKEN


def _sanitized(name: str) -> str:
    """A name in the form that TensorFlow's loader uses."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def _children(node: Any) -> Mapping[str, int]:
    return {child.local_name: child.node_id for child in node.children}


def _rename_keys(described: Any, names: Mapping[str, str]) -> None:
    for argument, name in names.items():
        if argument in described:
            described[name].CopyFrom(described[argument])
            del described[argument]
