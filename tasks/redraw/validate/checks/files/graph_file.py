"""Is the graph's file one that a server reads, and without what only training calls?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from redraw.records import Check
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.serving.graph.serving_graph import ServingGraph
    from redraw.validate.subject.subject import Subject

# Protocol buffers count a message's bytes in a signed 32-bit number.
MOST_BYTES = 2**31 - 1
_SERVE = ["serve"]
# What a server calls of a table in addition to what the graph itself calls.
_RESOURCE_METHODS = {"_create_resource", "_initialize", "_destroy_resource"}


def check_graph_size(subject: Subject) -> Check:
    """Demand a `saved_model.pb` of less than 2 GB, the most that a server parses: the check `graph-size`."""
    path = subject.folder / "saved_model.pb"
    # Whether it is there at all is for the check of the files to say.
    size = path.stat().st_size if path.is_file() else 0
    return conclude(
        "graph-size",
        looked_at="the size of saved_model.pb",
        expected=f"at most {MOST_BYTES} bytes, the most that protocol buffers parse",
        found=f"{size} bytes",
        problems=[f"{size} bytes"] if size > MOST_BYTES else [],
        advice="Keep large constants in variables or assets instead of in the graph.",
    )


def check_serve_tag(subject: Subject) -> Check:
    """Demand one graph, with the tag that servers ask for: the check `serve-tag`."""
    tags = [sorted(graph.meta_info_def.tags) for graph in subject.meta_graphs]
    shown = ", ".join(str(found) for found in tags) or "none"
    return conclude(
        "serve-tag",
        looked_at="the graphs in saved_model.pb and their tags",
        expected=f"one graph with the tags {_SERVE}",
        found="one graph, with only the tag 'serve'",
        problems=[] if tags == [_SERVE] else [f"{len(tags)} graphs with the tags {shown}"],
        advice="Export again; a server loads the graph with only the tag 'serve'.",
    )


def check_unreached_functions(subject: Subject) -> Check:
    """Demand that the library holds no function that serving never calls: the check `unreached-functions`."""
    graph = subject.graph
    functions, called = set(graph.arguments), _called(graph)
    return conclude(
        "unreached-functions",
        looked_at=f"the {len(functions)} functions in the graph's library",
        expected="each called by a signature, the initialization, the restoring or a table",
        found=f"each of the {len(functions)} functions is called",
        problems=[f"nothing that serves calls {name!r}" for name in sorted(functions - called)],
        advice="Export only what serves: a training or evaluation function was left in.",
    )


def _called(graph: ServingGraph) -> set[str]:
    called = set()
    for reached in (*graph.answering.values(), graph.initializing, graph.restoring, graph.saving):
        called |= reached.functions
    return called | graph.functions_below(_of_resources(graph))


def _of_resources(graph: ServingGraph) -> Iterator[str]:
    nodes = graph.meta.object_graph_def.nodes
    for node in nodes:
        if node.WhichOneof("kind") == "resource":
            for child in node.children:
                if child.local_name in _RESOURCE_METHODS:
                    yield from nodes[child.node_id].function.concrete_functions
