"""What is inside of loops and functions, where no session can feed: tried by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.validate.outcome import CannotRun

__all__ = ["inside_loops", "silence_loops"]

tf1 = tf.compat.v1

_RUNS = 60
_SIZE = 32


def silence_loops(graph: Any, claims: Iterable[Any]) -> str:
    """Let what reads a dropout's product inside of a loop or a function read its data instead.

    Args:
        graph: A `GraphDef`, as it was recorded; it is changed.
        claims: What is claimed of its layers.

    Returns:
        What was done, in words; empty for nothing.
    """
    inside = inside_loops(graph)
    functions = {function.signature.name: function for function in graph.library.function}
    count = 0
    for claim in claims:
        product, data = claim.tensor.partition(":")[0], claim.by.partition(":")[0]
        if claim.function in functions:
            function = functions[claim.function]
            _silence_function(function, product, data)
            count += 1
        elif claim.kind != "batch statistic" and product in inside:
            _demand_dropout(graph, claim)
            for node in graph.node:
                node.input[:] = [claim.by if _is(name, claim.tensor) else name for name in node.input]
            count += 1
    return f"{count} products of chance inside of loops read as their data" if count else ""


def _is(name: str, tensor: str) -> bool:
    return (name if ":" in name else f"{name}:0") == tensor and not name.startswith("^")


def inside_loops(graph: Any) -> set[str]:
    """The nodes of a `GraphDef` that are inside of v1 loops."""
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name.lstrip("^").partition(":")[0], []).append(node)
    queue = [node.name for node in graph.node if node.op in ("Enter", "RefEnter")]
    inside = set(queue)
    for name in queue:
        for reader in readers.get(name, ()):
            if reader.name not in inside and reader.op not in ("Exit", "RefExit"):
                inside.add(reader.name)
                queue.append(reader.name)
    return inside


def _demand_dropout(graph: Any, claim: Any) -> None:
    """Run the piece from the data to the product by itself, with TensorFlow's own random numbers."""
    nodes = {node.name: node for node in graph.node}
    product, start = claim.tensor.partition(":")[0], claim.by.partition(":")[0]
    names, queue = {product}, [product]
    for name in queue:
        for source in nodes[name].input:
            other = source.lstrip("^").partition(":")[0]
            if not source.startswith("^") and other != start and other not in names:
                names.add(other)
                queue.append(other)
    piece = tf1.GraphDef()
    for name in names:
        node = piece.node.add()
        node.CopyFrom(nodes[name])
        node.input[:] = [source for source in node.input if not source.startswith("^")]
        node.attr.pop("_class", None)
        if node.op in ("Enter", "RefEnter"):
            node.op = "Identity"
            for key in ("frame_name", "is_constant", "parallel_iterations"):
                node.attr.pop(key, None)
        elif node.op == "Placeholder":
            node.op = "Const"
            node.attr["value"].tensor.CopyFrom(
                tf.make_tensor_proto(0.6, tf.as_dtype(node.attr["dtype"].type))
            )
            node.attr.pop("shape", None)
    x = np.random.default_rng(9).uniform(1, 2, (_SIZE, _SIZE))
    try:
        with tf.Graph().as_default(), tf1.Session() as session:
            types = {"DstT", "T", "dtype"} & set(nodes[product].attr)
            given = tf1.placeholder(tf.as_dtype(nodes[product].attr[sorted(types)[-1]].type), x.shape)
            (out,) = tf.graph_util.import_graph_def(piece, {claim.by: given}, [claim.tensor], name="")
            answers = np.stack([session.run(out, {given: x}) for _ in range(_RUNS)])
    except (ValueError, KeyError, tf.errors.OpError):
        # Its data have a shape of their own, which only the loop knows.
        return
    kept = answers != 0
    ratios = (answers / x)[kept]
    if not kept.any() or np.ptp(ratios) > 0.05 or abs(1 / ratios.mean() - kept.mean()) > 0.1:
        raise CannotRun(
            f"the recorded graph itself does not show that {claim.tensor} is dropout of {claim.by}",
            "Report it with the recording; write the model as a definition.",
        )


def _silence_function(function: Any, product: str, data: str) -> None:
    inputs = [name for node in function.node_def for name in node.input]
    # A function names a tensor by its node's output; the data are read under that name somewhere.
    named = next((name for name in inputs if name.partition(":")[0] == data), data)
    for node in function.node_def:
        node.input[:] = [named if name.partition(":")[0] == product else name for name in node.input]
    for key, name in function.ret.items():
        if name.partition(":")[0] == product:
            function.ret[key] = named
