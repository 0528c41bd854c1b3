"""Does the graph keep to itself? No Python, no files but its assets, no sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from redraw.records import Check
from redraw.serving.graph.allowed import find_refused, reads_asset
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.serving.graph.serving_graph import ServingGraph
    from redraw.validate.subject.subject import Subject


def check_host_code(subject: Subject) -> Check:
    """Demand that nothing in the model runs Python, or touches files or sockets: `host-code`.

    It is checked again before each load. The model may read the files that the export declares as assets.
    """
    graph = subject.graph
    read = _reads_of_assets(graph)
    return conclude(
        "host-code",
        looked_at="what the signatures, the initialization and the restoring reach, and the function library",
        expected="no call of Python, no socket, and no file but the export's own variables and assets",
        found=f"no Python and no files but {read} reads of assets" if read else "no Python, no files",
        problems=_problems(subject),
        advice="Use TensorFlow's operations, and let the definition hold files as tf.saved_model.Asset.",
    )


def _problems(subject: Subject) -> Iterator[str]:
    """Without those that other checks name: unknown operations, and what signatures need and may declare."""
    for found in find_refused(subject.graph):
        if not found.declarable:
            named = found.known
        else:
            named = not found.of_signature and found.op not in subject.definition.stateful_ops
        if named:
            yield found.text


def _reads_of_assets(graph: ServingGraph) -> int:
    parts = [*graph.answering.values(), graph.initializing]
    return sum(reads_asset(graph, reached, place) for reached in parts for place in reached.nodes)
