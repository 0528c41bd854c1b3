"""Find the shapes that TensorFlow infers for a graph's tensors, without running it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from redraw.errors import InvalidDefinition
from redraw.recorded.graph import Graph
from redraw.recorded.operations import demand_known

Shape = tuple[int | None, ...] | None


def infer_shapes(
    graph: Graph, outputs: Iterable[str], known_shapes: Mapping[str, Shape] | None = None
) -> dict[str, Any]:
    """Infer the shapes of the tensors that outputs are computed from.

    Args:
        graph: The graph.
        outputs: Tensors.
        known_shapes: Tensor of a placeholder or an argument to its shape.

    Returns:
        Tensor to its shape, for known ranks.

    Raises:
        InvalidDefinition: TensorFlow refuses the graph; the message names the operation.
    """
    part = graph.part(graph.reach(outputs))
    demand_known(part.node, graph.functions, graph.where)
    for node in part.node:
        shape = (known_shapes or {}).get(f"{node.name}:0")
        if node.op in ("LookupTableFind", "LookupTableFindV2"):
            _replace_by_cast(node)
        if node.op == "_Arg":
            node.op = "Placeholder"
            node.attr["dtype"].type = node.attr["T"].type
            for attribute in ("T", "index"):
                del node.attr[attribute]
        if shape is not None or node.op == "Placeholder":
            node.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
    with tf.Graph().as_default() as imported:
        try:
            tf.graph_util.import_graph_def(part, name="")
        except (ValueError, tf.errors.OpError) as err:
            raise InvalidDefinition(
                f"{graph.where}: expected a graph that TensorFlow {tf.__version__} can import, got:"
                f" {' '.join(str(err).split())[:300]}. Correct inputs, their shapes or constants."
            ) from err
        return {
            tensor.name: tuple(tensor.shape.as_list())
            for operation in imported.get_operations()
            for tensor in operation.outputs
            if tensor.shape.rank is not None
        }


def _replace_by_cast(node: Any) -> None:
    """Turn a table's lookup into a cast, whose shape TensorFlow infers: it is the keys' shape."""
    keys, source, target = node.input[1], node.attr["Tin"].type, node.attr["Tout"].type
    node.op = "Cast"
    node.input[:] = [keys]
    node.attr.clear()
    node.attr["SrcT"].type, node.attr["DstT"].type = source, target
