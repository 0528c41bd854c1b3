"""Find the problems of a SavedModel, each with the check that would report it, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator

from redraw.recorded.nodes import node_name
from redraw.records.results import Finding
from redraw.serving.graph.allowed import find_refused
from redraw.serving.graph.op_groups import runs_on_host
from redraw.serving.graph.reachable import MAIN, Place
from redraw.serving.graph.serving_graph import ServingGraph, tensors_of
from redraw.validate.checks.graph.operations import find_suspects
from redraw.validate.checks.weights.single_copy import find_copies

_BATCH_NORM = {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}


def find_problems(graph: ServingGraph, keys: set[str]) -> Iterator[Finding]:
    """Find the problems of a SavedModel.

    Args:
        graph: The graph to serve.
        keys: The tensors in its `variables/`.

    Yields:
        Each problem once, with the check that reports it when an export is validated; `heals` tells whether
        healing may remove it.
    """
    if not graph.signatures:
        yield Finding(check="signatures", text="the SavedModel has no signatures", heals=False)
        return
    before = _before_the_cut(graph)
    for refused in find_refused(graph):
        on_host = refused.known and runs_on_host(refused.op) is not None
        check = "host-code" if on_host else "known-ops" if not refused.known else "inference-ops"
        heals = not refused.of_signature or refused.place in before
        yield Finding(check=check, text=refused.text, heals=heals)
    for op, text in find_suspects(graph):
        # Redrawing removes operations that only training needs, or refuses them by name.
        yield Finding(check="inference-ops", text=text, heals=runs_on_host(op) is None)
    for name, subgraph in graph.answering.items():
        for place, node in subgraph.nodes.items():
            if node.op in _BATCH_NORM and ("is_training" not in node.attr or node.attr["is_training"].b):
                text = (
                    f"signature {name!r} reaches {node.op} {place}: this operation uses the batch's"
                    " statistics"
                )
                yield Finding(check="row-independence", text=text, heals=True)
    for text in find_copies(graph, keys):
        yield Finding(check="single-copy", text=text, heals=True)


def _before_the_cut(graph: ServingGraph) -> set[Place]:
    """The nodes that outputs need only to compute the signatures' inputs, which requests replace."""
    nodes = {node.name: node for node in graph.meta.graph_def.node}
    needed = set[str]()
    for signature in graph.signatures.values():
        cuts = {node_name(name) for info in signature.inputs.values() for name in tensors_of(info)}
        queue = [node_name(name) for info in signature.outputs.values() for name in tensors_of(info)]
        for name in queue:
            if name in nodes and name not in needed:
                needed.add(name)
                queue += map(node_name, nodes[name].input if name not in cuts else ())
        needed -= {name for name in cuts if name in nodes and not nodes[name].op.startswith("Placeholder")}
    return {Place(MAIN, name) for name in nodes if name not in needed}
