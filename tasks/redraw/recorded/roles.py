"""Find the inputs and the outputs of a recorded graph, each with evidence.

The input of a loss that does not come from a label is an output of the network, and so is what is computed
from it without the label. A source that leads there, and to no label, is data. A flag selects branches, and
a rate is combined with random numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice

from tensorflow.core.framework import types_pb2

from redraw.recorded.graph import Graph
from redraw.recorded.heads import (
    HEADS,
    ends,
    is_gradient,
    meeting_labels,
    softmaxed,
    unshaped,
    users_of,
)
from redraw.recorded.nodes import node_name
from redraw.recorded.operations import (
    ASSIGNMENTS,
    CHANCE,
    FLOATS,
    INTEGERS,
    SWITCHES,
    VARIABLES,
    output_types_of,
)

# The positions of the logits and the labels among a loss's inputs.
_LOSSES = {
    "SparseSoftmaxCrossEntropyWithLogits": (0, 1),
    "SoftmaxCrossEntropyWithLogits": (0, 1),
    "CTCLoss": (0, 1),
}
_STARTS = {
    "Placeholder",
    "PlaceholderV2",
    "PlaceholderWithDefault",
    "IteratorGetNext",
    "QueueDequeueV2",
    "QueueDequeueManyV2",
    "QueueDequeueUpToV2",
    "QueueDequeue",
    "QueueDequeueMany",
    "QueueDequeueUpTo",
    "ParseExample",
    "ParseExampleV2",
    "DecodeCSV",
}
_APPLIES = ("Apply", "ResourceApply", "SparseApply", "ResourceSparseApply")
_MOST_GUESSES = 12
_PASSIVE = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}
_SIDE = {
    "ScalarSummary",
    "HistogramSummary",
    "ImageSummary",
    "MergeSummary",
    "Assert",
    "Print",
    "NoOp",
    "AsString",
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """An input of a graph.

    Attributes:
        tensor: The tensor.
        role: `data`, `label`, `flag`, `keep rate`, `rate` or `number`.
        evidence: The reason.
    """

    tensor: str
    role: str
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Output:
    """A possible output of the network.

    Attributes:
        tensor: The tensor.
        rank: A higher rank is more likely.
        evidence: The reason.
    """

    tensor: str
    rank: int
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The inputs and outputs that were found.

    Attributes:
        sources: All inputs of the graph.
        outputs: Its possible outputs, the likeliest first.
    """

    sources: tuple[Source, ...]
    outputs: tuple[Output, ...]

    def of(self, role: str) -> list[Source]:
        """The sources of a role."""
        return [source for source in self.sources if source.role == role]


def find_roles(graph: Graph, outputs: Iterable[str] = ()) -> Roles:
    """Find the roles of a graph's sources, and its outputs.

    Args:
        graph: The unchanged graph.
        outputs: Its known outputs; empty to find them.

    Returns:
        Sources and outputs, with evidence; several may be equally likely.
    """
    requested = list(outputs)
    starts = [name for name, node in graph.nodes.items() if node.op in _STARTS]
    losses = [name for name, node in graph.nodes.items() if node.op in _LOSSES]
    heads = [graph.data_inputs(name)[_LOSSES[graph.nodes[name].op][0]] for name in losses]
    heads = [unshaped(graph, head) for head in heads] or softmaxed(graph)
    labels = _sources_of(graph, [graph.data_inputs(n)[_LOSSES[graph.nodes[n].op][1]] for n in losses], starts)
    network = _sources_of(graph, requested or heads or ends(graph), starts)
    steering = {t: _steering(graph, t) for t in _tensors(graph, starts)}
    inputs = set(network) - set(labels)
    sources = []
    for tensor, (role, why) in steering.items():
        if role:
            sources.append(Source(tensor=tensor, role=role, evidence=why))
        elif tensor in inputs:
            sources.append(
                Source(tensor=tensor, role="data", evidence="leads to the outputs, and to no label")
            )
        elif tensor in labels:
            sources.append(Source(tensor=tensor, role="label", evidence="is the label of a loss"))
    possible = [] if requested else _with_doubts(graph, _outputs(graph, heads, set(labels)), starts)
    return Roles(sources=tuple(sources), outputs=tuple(possible))


def _tensors(graph: Graph, starts: Iterable[str]) -> list[str]:
    return [
        f"{name}:{number}" for name in starts for number in range(len(output_types_of(graph.nodes[name])))
    ]


def _sources_of(graph: Graph, tensors: list[str], starts: list[str]) -> dict[str, None]:
    """The tensors of sources that some tensors are computed from."""
    among, sources, queue = set(starts), dict[str, None](), [graph.resolve(tensor) for tensor in tensors]
    visited = set(queue)
    for tensor in queue:
        name = node_name(tensor)
        if name in among:
            sources[tensor] = None
            continue
        for before in graph.data_inputs(name) if graph.nodes[name].op not in _PASSIVE else ():
            if before not in visited:
                visited.add(before)
                queue.append(before)
    return sources


def _steering(graph: Graph, tensor: str) -> tuple[str, str]:
    """The role of a source that only controls the network: a flag, a rate or a number; else empty."""
    dtype = graph.dtype(tensor) % 100
    users = users_of(graph)
    if dtype == types_pb2.DT_BOOL and graph.nodes[node_name(tensor)].op.startswith("Placeholder"):
        return (
            "flag",
            f"a bool, read by {', '.join(sorted({graph.nodes[u].op for u in users.get(tensor, ())})[:3])}",
        )
    if not graph.nodes[node_name(tensor)].op.startswith("Placeholder"):
        return "", ""
    number = _is_number(graph, tensor)
    if dtype not in FLOATS:
        counts = (
            dtype in INTEGERS
            and number
            and not graph.nodes[node_name(tensor)].attr["shape"].shape.unknown_rank
        )
        return ("number", "one number for all rows") if counts else ("", "")
    queue, visited = [tensor], {tensor}
    for current in queue:
        for user in users.get(current, ()):
            op = graph.nodes[user].op
            if op.startswith(_APPLIES):
                return "rate", f"is the learning rate of {op}"
            others = [node_name(t) for t in graph.data_inputs(user) if t != current]
            if any(graph.nodes[_first(graph, name)].op in CHANCE for name in others) and _is_number(
                graph, tensor
            ):
                return "keep rate", f"is combined with random numbers in {user!r}"
            if op in ("Identity", "Sub", "Enter", "Switch", "Merge", "RealDiv", "Cast") and len(queue) < 40:
                queue += [f"{user}:0"] if f"{user}:0" not in visited else []
                visited.add(f"{user}:0")
    return (
        ("number", "one number for all rows")
        if number and "shape" in graph.nodes[node_name(tensor)].attr
        else ("", "")
    )


def _first(graph: Graph, name: str) -> str:
    """The origin of random numbers, before operations that scale them."""
    for _ in range(4):
        if graph.nodes[name].op not in ("Add", "AddV2", "Mul", "Sub", "Identity") or not graph.inputs[name]:
            break
        name = node_name(graph.data_inputs(name)[0])
    return name


def _is_number(graph: Graph, tensor: str) -> bool:
    node = graph.nodes[node_name(tensor)]
    shape = node.attr["shape"].shape if "shape" in node.attr else None
    return shape is None or shape.unknown_rank or not shape.dim


def _outputs(graph: Graph, heads: list[str], labels: set[str]) -> list[Output]:
    users = users_of(graph)
    outputs: dict[str, Output] = {}
    queue = list(dict.fromkeys(graph.plain(head) for head in heads or ends(graph)))
    for head in queue:
        why = "is the logits of a loss or a softmax" if heads else "no operation reads it"
        outputs[head] = Output(tensor=head, rank=1, evidence=why)
    visited = set(queue)
    for tensor in queue:
        for user in users.get(tensor, ()):
            op, out = graph.nodes[user].op, f"{user}:0"
            plain = (
                op not in _LOSSES
                and op not in _SIDE
                and op not in SWITCHES | VARIABLES
                and op not in ASSIGNMENTS
            )
            if out in visited or not plain or op in _PASSIVE or is_gradient(graph, user):
                continue
            if set(_sources_of(graph, [out], [node_name(t) for t in labels])) & labels:
                continue
            visited.add(out)
            queue.append(out)
            if op in HEADS:
                rank = HEADS[op] + (
                    1 if "/" not in user or user.split("/")[-1] in ("probabilities", "predictions") else 0
                )
                outputs[out] = Output(
                    tensor=out, rank=rank, evidence=f"{op} of the logits, without the label"
                )
    return sorted(outputs.values(), key=lambda output: -output.rank)


def _with_doubts(graph: Graph, outputs: list[Output], starts: list[str]) -> list[Output]:
    """The outputs; if other tensors meet a label, all with rank 0, so that the user has to choose."""
    answers = dict(islice(meeting_labels(graph, set(starts)), _MOST_GUESSES))
    needed = graph.reach([output.tensor for output in outputs])
    nodes = {node_name(output.tensor) for output in outputs}
    others = [
        Output(tensor=answer, rank=0, evidence=f"is compared with {label!r}, as an answer is with its label")
        for answer, label in answers.items()
        if node_name(answer) not in needed and nodes.isdisjoint(graph.reach([answer]))
    ]
    return [*(replace(output, rank=0) for output in outputs), *others] if others else outputs
