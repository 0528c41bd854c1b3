"""Generate requests for a recorded graph that match dtypes, shapes, and sizes of vocabularies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.recorded.graph import Graph
from redraw.recorded.nodes import node_name
from redraw.recorded.operations import VARIABLES
from redraw.recorded.redrawing import Redrawn
from redraw.recorded.running import known_value
from redraw.records import Signature

_SEED = 20
_UNKNOWN_SIZE = 7
_NUMBERS = 10
# Operations between an input and the lookup of its numbers, and the lookups with their table's input.
_PASSES = {
    "Cast",
    "Reshape",
    "ExpandDims",
    "Identity",
    "Squeeze",
    "Transpose",
    "Pack",
    "ConcatV2",
    "Unique",
    "Switch",
    "Enter",
}
_LOOKUPS = {"Gather": 0, "GatherV2": 0, "ResourceGather": 0, "OneHot": 1}


def generate_request(
    redrawn: Redrawn, signature: Signature, rows: int, cuts: Mapping[str, str] | None = None
) -> dict[str, np.ndarray]:
    """Generate a request.

    Args:
        redrawn: The graph.
        signature: The signature of the request.
        rows: How many rows.
        cuts: Input name to its name in `redrawn`, if that differs.

    Returns:
        Input name to values: floats from the standard normal distribution, integers below the size of
        the table that they index (else below 10), short texts.
    """
    request = {}
    for name, spec in sorted(signature.inputs.items()):
        rng = np.random.default_rng([_SEED, *name.encode()])
        shape = [rows, *(_UNKNOWN_SIZE if size is None else size for size in spec.shape[1:])]
        request[name] = _values(rng, tf.as_dtype(spec.dtype), shape, redrawn, (cuts or {}).get(name, name))
    return request


def _values(rng: Any, dtype: tf.DType, shape: list[int], redrawn: Redrawn, name: str) -> np.ndarray:
    if dtype.is_floating:
        return rng.standard_normal(shape).astype(dtype.as_numpy_dtype)
    if dtype == tf.bool:
        return np.asarray(rng.random(shape) < 0.5)
    if dtype == tf.string:
        return np.asarray(rng.choice([b"a", b"b", b"the", b"of", b"word", b""], shape), object)
    if dtype.is_complex:
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype.as_numpy_dtype)
    most = min(_vocabularies(redrawn.graph, redrawn.inputs[name], redrawn), default=_NUMBERS)
    return rng.integers(0, max(1, min(most, np.iinfo(dtype.as_numpy_dtype).max)), shape).astype(
        dtype.as_numpy_dtype
    )


def _vocabularies(graph: Graph, tensor: str, redrawn: Redrawn) -> list[int]:
    """The sizes of the tables that look the numbers up."""
    needed = graph.reach(redrawn.outputs.values())
    users = graph.users(needed)
    queue, sizes = [node_name(tensor)], []
    for name in queue:
        for user in users[name]:
            op, inputs = graph.nodes[user].op, graph.data_inputs(user)
            if op in _LOOKUPS and node_name(inputs[1 - _LOOKUPS[op]]) == name:
                sizes += _table_size(graph, inputs[_LOOKUPS[op]], redrawn, counted=op == "OneHot")
            elif op in _PASSES and user not in queue:
                queue.append(user)
    return sizes


def _table_size(graph: Graph, table: str, redrawn: Redrawn, *, counted: bool) -> list[int]:
    if counted:
        depth = known_value(graph, table)
        return [] if depth is None else [int(depth)]
    plain = graph.plain(table)
    name = node_name(plain)
    if graph.nodes[name].op == "ReadVariableOp":
        name = node_name(graph.plain(graph.data_inputs(name)[0]))
    saved = {variable.node: variable for variable in redrawn.variables}
    if graph.nodes[name].op in VARIABLES and name in saved:
        return [saved[name].shape[0]]
    shape = graph.shapes.get(plain)
    return [shape[0]] if shape and shape[0] else []
