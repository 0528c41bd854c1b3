"""Dropout inside loops and functions, where no session can feed tensors: tested in a graph of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.errors import short_list
from redraw.recorded.functions import open_body
from redraw.recorded.graph import Graph
from redraw.validate.outcome import CannotRun

tf1 = tf.compat.v1

_RUNS = 60
_SIZE = 32
_ANY_RATE = 0.6


def silence_loops(graph: Any, claims: Iterable[Any]) -> str:
    """Bypass dropout inside loops and functions: consumers of its product read its data instead.

    Args:
        graph: The recorded `GraphDef`; it is changed in place.
        claims: The claims about its layers.

    Returns:
        What was replaced and which claims could not be tested, in words; empty if nothing was replaced.

    Raises:
        CannotRun: A claim is wrong.
    """
    inside = inside_loops(graph)
    functions = {function.signature.name: function for function in graph.library.function}
    recorded = Graph(graph.node, functions, "the recorded graph")
    count, untried = 0, list[str]()
    for claim in claims:
        product, data = claim.tensor.partition(":")[0], claim.by.partition(":")[0]
        if claim.function in functions:
            if not _try_piece(open_body(recorded, claim.function).graph.nodes, claim):
                untried.append(f"{product} in the function {claim.function}")
            _silence_function(functions[claim.function], product, data)
            count += 1
        elif claim.kind != "batch statistic" and product in inside:
            if not _try_piece({node.name: node for node in graph.node}, claim):
                untried.append(product)
            for node in graph.node:
                node.input[:] = [claim.by if _is(name, claim.tensor) else name for name in node.input]
            count += 1
    if not count:
        return ""
    lacking = f"; not tried one by one: {short_list(untried, 'products')}" if untried else ""
    return f"{count} random factors (dropout) inside loops and functions were removed{lacking}"


def _is(name: str, tensor: str) -> bool:
    return (name if ":" in name else f"{name}:0") == tensor and not name.startswith("^")


def inside_loops(graph: Any) -> set[str]:
    """The nodes of a `GraphDef` that are inside TF1 loops."""
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


def _try_piece(nodes: Mapping[str, Any], claim: Any) -> bool:
    """Run the operations from the data to the product alone, with TensorFlow's own random numbers.

    Returns:
        Whether they could run: only the loop knows some shapes of its data.
    """
    runs = filter(None, (_run_piece(nodes, claim, shape) for shape in _shapes(nodes, claim)))
    if (run := next(runs, None)) is None:
        return False
    x, answers = run
    nonzero = answers != 0
    ratios = (answers / x)[nonzero]
    if claim.kind == "dropout":
        fits = nonzero.any() and np.ptp(ratios) <= 0.05 and abs(1 / ratios.mean() - nonzero.mean()) <= 0.1
    else:
        fits = abs(float(np.mean(answers)) - float(np.mean(x))) < 0.2
    if not fits:
        raise CannotRun(
            f"the recorded graph itself does not show that {claim.tensor} is {claim.kind} of {claim.by}",
            "Write the model as a definition, and report the problem to Redraw with the recorded graph.",
        )
    return True


def _shapes(nodes: Mapping[str, Any], claim: Any) -> Iterator[tuple[int, ...]]:
    """Shapes to try for the data: any shape, then the recorded one, which a constant may need."""
    yield _SIZE, _SIZE
    data = nodes.get(claim.by.partition(":")[0])
    recorded = (
        data.attr["_output_shapes"].list.shape if data is not None and "_output_shapes" in data.attr else ()
    )
    if recorded and recorded[0].dim:
        yield tuple(dim.size if dim.size > 0 else _SIZE for dim in recorded[0].dim)


def _run_piece(
    nodes: Mapping[str, Any], claim: Any, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    """The data and the products of many runs; None if the operations do not run alone."""
    product = claim.tensor.partition(":")[0]
    x = np.random.default_rng(9).uniform(1, 2, shape)
    try:
        piece = _piece(nodes, product, claim.by.partition(":")[0])
        with tf.Graph().as_default(), tf1.Session() as session:
            types = {"DstT", "T", "dtype"} & set(nodes[product].attr)
            data = tf1.placeholder(tf.as_dtype(nodes[product].attr[sorted(types)[-1]].type), x.shape)
            (out,) = tf.graph_util.import_graph_def(piece, {claim.by: data}, [claim.tensor], name="")
            return x, np.stack([session.run(out, {data: x}) for _ in range(_RUNS)])
    except (ValueError, KeyError, IndexError, TypeError, tf.errors.OpError):
        return None


def _piece(nodes: Mapping[str, Any], product: str, start: str) -> Any:
    """The operations that compute a product from its data; a rate from outside becomes a constant."""
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
        for key in ("_class", "_output_shapes"):  # old shapes contradict today's shape functions
            node.attr.pop(key, None)
        if node.op in ("Enter", "RefEnter"):
            node.op = "Identity"
            for key in ("frame_name", "is_constant", "parallel_iterations"):
                node.attr.pop(key, None)
        elif node.op in ("Placeholder", "_Arg"):
            dtype = node.attr["dtype" if node.op == "Placeholder" else "T"].type
            node.op = "Const"
            node.attr.clear()
            node.attr["dtype"].type = dtype
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(_ANY_RATE, tf.as_dtype(dtype)))
    return piece


def _silence_function(function: Any, product: str, data: str) -> None:
    inputs = [name for node in function.node_def for name in node.input]
    # A function names a tensor by its node's output; some node reads the data under that name.
    named = next((name for name in inputs if name.partition(":")[0] == data), data)
    for node in function.node_def:
        node.input[:] = [named if name.partition(":")[0] == product else name for name in node.input]
    for key, name in function.ret.items():
        if name.partition(":")[0] == product:
            function.ret[key] = named
