"""Does the graph keep to itself? No Python, no files but its assets, no sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from redraw.records import Check
from redraw.validate.graph.op_groups import runs_on_host
from redraw.validate.graph.reachable import Place, Reached, node_of
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.validate.graph.serving_graph import ServingGraph
    from redraw.validate.subject.subject import Subject

__all__ = ["check_host_code"]

# Which of its inputs names the file, of the operations that may read an asset.
_FILE_INPUTS = {"ReadFile": 0, "InitializeTableFromTextFile": 1, "InitializeTableFromTextFileV2": 1}


def check_host_code(subject: Subject) -> Check:
    """Demand that neither a request nor the loading runs Python, or touches files or sockets: `host-code`.

    Files that the export declares as its assets may be read.
    """
    graph = subject.graph
    assets = {node_of(asset.tensor_info.name) for asset in graph.meta.asset_file_def}
    problems, read = [], 0
    for what, reached in _what_runs(graph):
        for place, text in _touching(reached):
            if _reads_asset(graph, reached, place, assets):
                read += 1
            else:
                problems.append(f"{what} {text}")
    return conclude(
        "host-code",
        looked_at="what the signatures and the initialization reach",
        expected="no call of Python, no socket, and no file but the export's own assets",
        found=f"no Python and no files but {read} reads of assets" if read else "no Python, no files",
        problems=problems,
        advice="Use TensorFlow's operations, and let the definition hold files as tf.saved_model.Asset.",
    )


def _what_runs(graph: ServingGraph) -> Iterator[tuple[str, Reached]]:
    for name, reached in graph.answering.items():
        yield f"signature {name!r}", reached
    yield "the initialization", graph.initializing


def _touching(reached: Reached) -> Iterator[tuple[Place, str]]:
    for place, node in sorted(reached.nodes.items(), key=lambda item: str(item[0])):
        group = runs_on_host(node.op)
        if group is not None:
            yield place, f"reaches {node.op} {place}: it {group.reason}"


def _reads_asset(graph: ServingGraph, reached: Reached, place: Place, assets: set[str]) -> bool:
    node = reached.nodes[place]
    if node.op not in _FILE_INPUTS:
        return False
    # The variable that holds an asset's path is filled by the initialization.
    everything = Reached(
        nodes={**graph.initializing.nodes, **reached.nodes},
        calls={**graph.initializing.calls, **reached.calls},
    )
    origins = graph.origins(everything, place, node.input[_FILE_INPUTS[node.op]])
    return bool(origins) and all(not origin.function and origin.name in assets for origin in origins)
