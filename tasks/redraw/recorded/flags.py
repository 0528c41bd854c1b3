"""Flags of training in a graph's variables and in placeholders with a default.

A checkpoint holds the flag's value at the time of saving, which is mostly that of training.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.errors import InvalidDefinition
from redraw.recorded.graph import Graph
from redraw.recorded.nodes import node_name
from redraw.recorded.operations import VARIABLES

_DEFAULTED = "PlaceholderWithDefault"
_READS = {"ReadVariableOp"}
_HANDLES = {"Identity", "Switch", "RefSwitch", "RefIdentity"}
_OF_TRAINING = re.compile(
    r"(is|in|if|do|keras)?_?(train(ing)?(_?(flag|phase|mode))?|phase_?train(ing)?|mode_?train(ing)?"
    r"|learning_?phase)(_\d+)?"
)
_OF_INFERENCE = re.compile(
    r"(is|in|if|do)?_?(infer(ence|ring)?|test(ing)?|eval(uation|uating)?|predict(ion|ing)?|serving)"
    r"(_?(flag|phase|mode))?(_\d+)?"
)


def fix_constants(graph: Graph, constants: Mapping[str, Any]) -> None:
    """Replace tensors or variables by a definition's values.

    Args:
        graph: The graph; it is changed.
        constants: Tensor or variable to its value.

    Raises:
        InvalidDefinition: There is no such tensor, or it has another dtype.
    """
    for name, value in constants.items():
        tensor = graph.demand_tensor(name, "constant")
        node = graph.nodes[node_name(tensor)]
        number = node.attr["dtype"].type if node.op in VARIABLES else graph.dtype(tensor)
        dtype = tf.as_dtype(number).base_dtype
        try:
            fixed = np.asarray(value, dtype.as_numpy_dtype)
        except (TypeError, ValueError) as err:
            raise InvalidDefinition(
                f"{graph.where}: constant {name!r}: expected a {dtype.name}, got {value!r}. Correct the"
                " value."
            ) from err
        _fix(graph, tensor, fixed, dtype)


def fix_flags(graph: Graph) -> int:
    """Turn off flags with a name of training, and turn on flags with a name of inference.

    They are variables, or placeholders with a default. A constant in a branch depends on its flag only
    by a control dependency, so the whole graph is searched.

    Args:
        graph: The graph; it is changed.

    Returns:
        How many flags were set.
    """
    flags = {name: _at_inference(name.lower().rpartition("/")[2]) for name in _flags(graph, graph.nodes)}
    values = {name: value for name, value in flags.items() if value is not None}
    for name, value in values.items():
        _fix(graph, f"{name}:0", np.asarray(value), tf.bool)
    return len(values)


def _at_inference(name: str) -> bool | None:
    """A flag's value at inference according to its name; None if the name does not tell."""
    if _OF_TRAINING.fullmatch(name):
        return False
    return True if _OF_INFERENCE.fullmatch(name) else None


def unknown_flags(graph: Graph, outputs: list[str]) -> list[str]:
    """Find boolean variables whose value at inference is unknown.

    Args:
        graph: The graph.
        outputs: Its output tensors.

    Returns:
        A message for each.
    """
    return [
        f"the outputs depend on the flag {name!r}, a variable that the checkpoint stores with its value for"
        f" training; set it in constants (redraw draft --set {name}=VALUE)"
        for name in _flags(graph, graph.reach(outputs))
        if graph.nodes[name].op in VARIABLES
    ]


def _flags(graph: Graph, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        node = graph.nodes[name]
        # Only for these: reading a missing attribute of a node would add it.
        if node.op in VARIABLES | {_DEFAULTED} and f"{name}:0" not in graph.replaced:
            shape, dtype = node.attr["shape"].shape, tf.as_dtype(node.attr["dtype"].type).base_dtype
            if dtype == tf.bool and not shape.dim and not shape.unknown_rank:
                yield name


def _fix(graph: Graph, tensor: str, value: np.ndarray, dtype: tf.DType) -> None:
    name = node_name(tensor)
    fixed = graph.add_constant(f"redraw_fixed/{name}", value, dtype)
    if graph.nodes[name].op == "VarHandleOp":
        for reading in _reads(graph, name):
            graph.replaced[f"{reading}:0"] = fixed
    else:
        graph.replaced[tensor] = fixed


def _reads(graph: Graph, handle: str) -> Iterator[str]:
    """The nodes that read a variable, also in branches that get its handle."""
    users, queue = graph.users(graph.nodes), [handle]
    for name in queue:
        for user in users[name]:
            if graph.nodes[user].op in _READS:
                yield user
            elif graph.nodes[user].op in _HANDLES and user not in queue:
                queue.append(user)
