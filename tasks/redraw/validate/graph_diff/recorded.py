"""The graph that training recorded, as what an export is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from redraw.definition import RecordedDefinition
from redraw.validate.graph_diff.kinds import Kind
from redraw.validate.graph_diff.steps import DrawnStep


def read_recorded_step(definition: RecordedDefinition) -> DrawnStep:
    """Read what training ran from the recording.

    Returns:
        Every operation, and what each is for as far as its place tells: what leads to the inputs is the input
        pipeline, what leads from these to the outputs the network.
    """
    graph = definition.opened.meta_graph.graph_def
    sources = {node.name: [_node(name) for name in node.input] for node in graph.node}
    cuts = {_node(tensor) for tensor in definition.inputs.values()}
    network = _before(sources, map(_node, definition.outputs.values()), cuts)
    pipeline = _before(sources, cuts, set()) - cuts
    read = {source for before in sources.values() for source in before}
    return DrawnStep(
        graph=graph,
        ends=tuple(name for name in sources if name not in read),
        inputs=tuple(cuts),
        kinds={name: _kind(name, network, pipeline) for name in sources},
        layers=frozenset(),
    )


def _node(tensor: str) -> str:
    return tensor.lstrip("^").partition(":")[0]


def _before(sources: Mapping[str, list[str]], ends: Iterable[str], stop: set[str]) -> set[str]:
    queue: list[Any] = list(dict.fromkeys(ends))
    seen = set(queue)
    for name in queue:
        for source in sources.get(name, ()) if name not in stop else ():
            if source not in seen:
                seen.add(source)
                queue.append(source)
    return seen


def _kind(name: str, network: set[str], pipeline: set[str]) -> Kind:
    if name in network:
        return Kind.NETWORK
    if name in pipeline:
        return Kind.INPUT
    # TensorFlow's own scopes tell these.
    scope = name.partition("/")[0]
    if scope.startswith("gradients"):
        return Kind.GRADIENT
    if scope.startswith("save"):
        return Kind.SAVING
    return Kind.AVERAGE if scope.startswith("ExponentialMovingAverage") else Kind.LOSS
