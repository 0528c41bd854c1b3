"""Find each variable's key in a checkpoint, from the recording's own Saver and its slices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.errors import InvalidDefinition
from redraw.recorded.branches import inline_calls
from redraw.recorded.graph import Graph, full_name
from redraw.recorded.nodes import node_name
from redraw.recorded.operations import VARIABLES
from redraw.recorded.running import known_value

_SAVES = {"SaveV2": (1, 2, 3), "SaveSlices": (1, 2, 3), "Save": (1, None, 2)}
_READS = {"Identity", "ReadVariableOp", "Switch", "RefSwitch", "Cast"}


@dataclass(frozen=True, kw_only=True)
class SavedVariable:
    """A variable of a recording.

    Attributes:
        node: Its operation.
        key: Its key in the checkpoint; for a part the whole variable's.
        dtype: TensorFlow's name of it.
        shape: Its own shape.
        full_shape: The whole variable's shape, for a part.
        offset: The beginning of the part in each dimension.
        saved: Whether a Saver saves it.
    """

    node: str
    key: str
    dtype: str
    shape: tuple[int, ...]
    full_shape: tuple[int, ...] | None = None
    offset: tuple[int, ...] = ()
    saved: bool = True


def find_saved(graph: Graph, saver: Any, names: list[str]) -> list[SavedVariable]:
    """Find the names under which the recording's Saver saves variables, and the parts that they are.

    Args:
        graph: The recorded graph.
        saver: Its `SaverDef`, which may be empty.
        names: The variables' nodes.

    Returns:
        Each variable; one that no Saver saves has its own name as the key.

    Raises:
        InvalidDefinition: A variable has no shape.
    """
    keys: dict[str, tuple[str, str]] = {}
    for variable, key, piece in _saved(graph, saver):
        # Of several Savers, prefer the one that keeps the variable's own name.
        if variable not in keys or key == variable:
            keys[variable] = key, piece
    described = [_describe_variable(graph, name, *keys.get(name, (name, ""))) for name in names]
    return [replace(variable, saved=variable.node in keys) for variable in described]


def _saved(graph: Graph, saver: Any) -> Iterator[tuple[str, str, str]]:
    start = node_name(saver.save_tensor_name)
    if start in graph.nodes:
        inline_calls(graph, [start])  # TF2 saves in a function
    among = _before(graph, start) if start in graph.nodes else list(graph.nodes)
    for name in among:
        places = _SAVES.get(graph.nodes[name].op)
        if places is None:
            continue
        inputs = graph.data_inputs(name)
        keys = known_value(graph, inputs[places[0]])
        pieces = known_value(graph, inputs[places[1]]) if places[1] is not None else None
        if keys is None:
            continue
        for number, tensor in enumerate(inputs[places[2] :]):
            variable = _variable(graph, tensor)
            if variable is not None and number < len(keys):
                piece = pieces[number].decode() if pieces is not None else ""
                yield variable, keys[number].decode(), piece


def _before(graph: Graph, name: str) -> list[str]:
    """A node, and all nodes that have to run before it."""
    queue = [node_name(graph.resolve(full_name(name)))]
    visited = set(queue)
    for current in queue:
        for source in (*map(node_name, graph.data_inputs(current)), *graph.controls[current]):
            if source not in visited and source in graph.nodes:
                visited.add(source)
                queue.append(source)
    return queue


def _variable(graph: Graph, tensor: str) -> str | None:
    name = node_name(tensor)
    while graph.nodes[name].op in _READS:
        name = node_name(graph.data_inputs(name)[0])
    return name if graph.nodes[name].op in VARIABLES else None


def _describe_variable(graph: Graph, name: str, key: str, piece: str) -> SavedVariable:
    node = graph.nodes[name]
    shape = node.attr["shape"].shape
    if shape.unknown_rank or any(dim.size < 0 for dim in shape.dim):
        raise InvalidDefinition(
            f"{graph.where}: variable {name!r}: expected a fully defined shape, got an unknown one. Write"
            " the model as a definition."
        )
    own = tuple(dim.size for dim in shape.dim)
    dtype = tf.as_dtype(node.attr["dtype"].type).base_dtype.name
    if not piece:
        return SavedVariable(node=name, key=key, dtype=dtype, shape=own)
    full, offset = _parse_slice(piece)
    return SavedVariable(node=name, key=key, dtype=dtype, shape=own, full_shape=full, offset=offset)


def _parse_slice(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Parse `50 8 0,17:-`: the whole shape, then the part's begin and length in each dimension.

    Source:
        https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/framework/tensor_slice.h
    """
    *sizes, parts = text.split()
    begins = ((0 if part == "-" else int(part.partition(",")[0])) for part in parts.split(":"))
    return tuple(int(np.int64(size)) for size in sizes), tuple(begins)
