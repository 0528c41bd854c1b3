"""Find possible outputs of a network: inputs of a softmax, unread results, results next to a label."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from redraw.recorded.graph import Graph
from redraw.recorded.nodes import node_name
from redraw.recorded.operations import VARIABLES

# Operations that end a network; a higher number is more likely.
HEADS = {
    "Softmax": 3,
    "Sigmoid": 2,
    "ArgMax": 2,
    "TopKV2": 1,
    "Exp": 1,
    "Identity": 1,
    "Reshape": 1,
    "BiasAdd": 1,
    "Squeeze": 1,
}
# Operations that apply weights: a softmax before one is attention, not a head.
_WEIGHING = {
    "MatMul",
    "BatchMatMul",
    "BatchMatMulV2",
    "BatchMatMulV3",
    "Conv2D",
    "Conv3D",
    "DepthwiseConv2dNative",
    "Einsum",
    "BiasAdd",
}
_FORWARDING = {
    "Identity",
    "ReadVariableOp",
    "Enter",
    "RefEnter",
    "ResourceGather",
    "Cast",
    "ExpandDims",
    "Reshape",
}
_RESHAPING = {"Reshape", "Cast", "ExpandDims", "Squeeze", "StridedSlice", "OneHot"}


def users_of(graph: Graph) -> dict[str, list[str]]:
    """Tensor to the nodes that read it, computed once for a graph that does not change."""
    if not hasattr(graph, "readers"):
        readers: dict[str, list[str]] = {}
        for name in graph.nodes:
            for tensor in graph.data_inputs(name):
                readers.setdefault(tensor, []).append(name)
        graph.readers = readers  # type: ignore[attr-defined]
    users: dict[str, list[str]] = graph.readers  # type: ignore[attr-defined]
    return users


def unshaped(graph: Graph, tensor: str) -> str:
    """A tensor before it was reshaped to a matrix for a loss."""
    tensor = graph.plain(tensor)
    while graph.nodes[node_name(tensor)].op == "Reshape":
        tensor = graph.plain(graph.data_inputs(node_name(tensor))[0])
    return tensor


def softmaxed(graph: Graph) -> list[str]:
    """The inputs of softmax operations, as in a loss that was written by hand."""
    softmaxes = (
        name for name, node in graph.nodes.items() if node.op == "Softmax" and not is_gradient(graph, name)
    )
    return [graph.data_inputs(name)[0] for name in softmaxes if not _is_weighed(graph, name)]


def _is_weighed(graph: Graph, name: str) -> bool:
    """Whether weights are applied to results of an operation."""
    users, queue = users_of(graph), [name]
    visited = set(queue)
    for current in queue:
        for user in users.get(f"{current}:0", ()):
            if user in visited or is_gradient(graph, user):
                continue
            if graph.nodes[user].op in _WEIGHING and any(map(_is_weight(graph), graph.data_inputs(user))):
                return True
            visited.add(user)
            queue.append(user)
    return False


def _is_weight(graph: Graph) -> Callable[[str], bool]:
    def test(tensor: str) -> bool:
        name = node_name(tensor)
        while graph.nodes[name].op in _FORWARDING and graph.inputs[name]:
            name = node_name(graph.data_inputs(name)[0])
        return graph.nodes[name].op in VARIABLES

    return test


def ends(graph: Graph) -> list[str]:
    """The unread outputs of a graph without a loss, except side effects."""
    users = users_of(graph)
    nodes_read = {node_name(tensor) for tensor in users}
    return [
        f"{name}:0"
        for name, node in graph.nodes.items()
        if name not in nodes_read and node.op in HEADS and node.op != "Identity"
    ]


def is_gradient(graph: Graph, name: str) -> bool:
    """Whether an operation only trains: it computes a gradient."""
    op = graph.nodes[name].op
    return (
        op.endswith("Grad")
        or op in ("BroadcastGradientArgs", "PreventGradient", "MulNoNan", "LogSoftmax")
        or name.startswith("gradients")
    )


def meeting_labels(graph: Graph, starts: Collection[str]) -> Iterator[tuple[str, str]]:
    """Find tensors that are subtracted from, or multiplied by, an input: an answer and its label.

    Args:
        graph: The graph.
        starts: The nodes of its inputs.

    Yields:
        The computed tensor, and the label.
    """
    for name, node in graph.nodes.items():
        if node.op not in ("Sub", "SquaredDifference", "Mul") or is_gradient(graph, name):
            continue
        first, second = graph.data_inputs(name)
        for answer, label in (
            (unshaped(graph, first), _original_label(graph, second)),
            (unshaped(graph, second), _original_label(graph, first)),
        ):
            if node_name(label) not in starts or node_name(answer) in starts or not _has_rows(graph, label):
                continue
            before = graph.reach([answer])
            # A product of data and a result computed from them is no sign of a label; a difference is.
            apart = node.op != "Mul" or node_name(label) not in before
            if apart and any(graph.nodes[n].op in VARIABLES for n in before):
                yield answer, label


def _original_label(graph: Graph, tensor: str) -> str:
    """A label before it was brought into the answer's form."""
    tensor = graph.plain(tensor)
    while graph.nodes[node_name(tensor)].op in _RESHAPING:
        tensor = graph.plain(graph.data_inputs(node_name(tensor))[0])
    return tensor


def _has_rows(graph: Graph, tensor: str) -> bool:
    node = graph.nodes[node_name(tensor)]
    return (
        "shape" not in node.attr
        or node.attr["shape"].shape.unknown_rank
        or bool(node.attr["shape"].shape.dim)
    )
