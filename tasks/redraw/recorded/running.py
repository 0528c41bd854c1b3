"""Run a piece of a recorded graph alone: only operations that compute, without I/O or state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.compat.tensorflow import operation_definition
from redraw.recorded.graph import Graph
from redraw.recorded.nodes import node_name
from redraw.recorded.operations import CHANCE, HOST, SOURCES, VARIABLES

_MOST_NODES = 400
_MOST_VALUES = 1 << 24
# Stateless operations that access files, debuggers or foreign code.
_OUTSIDE = {
    "GenerateVocabRemapping",
    "InitializeTableFromTextFile",
    "ImmutableConst",
    "Abort",
    "DecodeProtoV2",
    "EncodeProto",
    "DebugIdentity",
    "DebugNumericSummary",
    "DebugNumericSummaryV2",
    "DebugNanCount",
    "XlaCustomCall",
    "XlaCustomCallV2",
    "MlirPassthroughOp",
}
_JOINTS = {"Merge", "RefMerge", "NextIteration", "RefNextIteration", "LoopCond", "Switch", "RefSwitch"}


class CannotBeRun(Exception):  # noqa: N818 - an answer to the caller, not an error for a user
    """A piece has an operation that cannot run alone; the message names it."""


class Piece:
    """The operations between some tensors and others.

    Args:
        graph: The graph.
        outputs: The tensors to compute.
        fed: The tensors that get values; nothing before them runs.

    Raises:
        CannotBeRun: It reads data, has state, calls other code, or is too large.
    """

    def __init__(self, graph: Graph, outputs: Sequence[str], fed: Iterable[str]) -> None:
        self._graph = graph
        self._outputs = [graph.resolve(output) for output in outputs]
        self._fed = dict.fromkeys(graph.resolve(tensor) for tensor in fed)
        self.nodes = self._collect()
        for name in self.nodes:
            self._demand_plain(name)

    def _collect(self) -> list[str]:
        queue = list(dict.fromkeys(node_name(t) for t in self._outputs if t not in self._fed))
        visited = set(queue)
        for name in queue:
            for tensor in self._graph.data_inputs(name):
                source = node_name(tensor)
                if tensor not in self._fed and source not in visited:
                    visited.add(source)
                    queue.append(source)
            if len(queue) > _MOST_NODES:
                raise CannotBeRun(f"more than {_MOST_NODES} operations")
        return queue

    def _demand_plain(self, name: str) -> None:
        node = self._graph.nodes[name]
        definition = operation_definition(node.op)
        forbidden = node.op in VARIABLES | SOURCES | HOST | _OUTSIDE | _JOINTS or node.op in CHANCE
        if forbidden or definition is None or definition.is_stateful or node.op == "_Arg":
            raise CannotBeRun(f"it needs {node.op} {name!r}")

    def run(self, values: Mapping[str, Any]) -> list[np.ndarray]:
        """Run it.

        Args:
            values: A value for each fed tensor.

        Raises:
            CannotBeRun: TensorFlow cannot run it.
        """
        fed = {self._graph.resolve(tensor): np.asarray(value) for tensor, value in values.items()}
        try:
            with tf.Graph().as_default(), tf.compat.v1.Session() as session:
                mapped = {
                    t: tf.compat.v1.placeholder(tf.as_dtype(self._graph.dtype(t)).base_dtype, fed[t].shape)
                    for t in self._fed
                }
                part = self._graph.part(self.nodes, loops=False)
                outer = [output for output in self._outputs if output not in self._fed]
                used = {name for node in part.node for name in node.input}
                answers = tf.graph_util.import_graph_def(
                    part, {t: p for t, p in mapped.items() if t in used}, outer, name=""
                )
                results = dict(
                    zip(
                        outer,
                        session.run(answers, {mapped[t]: fed[t] for t in mapped}),
                        strict=True,
                    )
                )
        except (tf.errors.OpError, ValueError, TypeError, KeyError) as err:
            raise CannotBeRun(str(err).partition("\n")[0][:200]) from err
        return [fed[output] if output in self._fed else results[output] for output in self._outputs]


def known_value(graph: Graph, tensor: str) -> np.ndarray | None:
    """A tensor's value, if it does not depend on data, weights or random numbers; else None."""
    node = graph.nodes[node_name(graph.resolve(tensor))]
    if node.op == "Const":
        value = node.attr["value"].tensor
        size = int(np.prod([dim.size for dim in value.tensor_shape.dim], initial=1))
        return tf.make_ndarray(value) if size <= _MOST_VALUES else None
    try:
        (value,) = Piece(graph, [tensor], []).run({})
    except CannotBeRun:
        return None
    return value
