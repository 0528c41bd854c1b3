"""Refuse malformed graphs: with missing inputs, or with operations that depend on themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from redraw.compat.tensorflow import operation_definition
from redraw.errors import InvalidDefinition
from redraw.recorded.graph import Graph
from redraw.recorded.nodes import node_name

# Functions within functions; deeper nesting means recursion.
MOST_NESTED = 40
_BACK = {"NextIteration", "RefNextIteration"}


def demand_sound(graph: Graph) -> None:
    """Check an untrusted graph after it was read.

    Raises:
        InvalidDefinition: TensorFlow would not run it.
    """
    problem = next(_problems(graph), "")
    if problem:
        raise InvalidDefinition(
            f"{graph.where}: expected a valid TensorFlow graph, got {problem}. Copy the file again."
        )


def _problems(graph: Graph) -> Iterator[str]:
    if graph.where.count(", function ") > MOST_NESTED:
        yield f"functions nested more than {MOST_NESTED} deep"
    for name, inputs in graph.inputs.items():
        for source in (*map(node_name, inputs), *graph.controls[name]):
            if source not in graph.nodes:
                yield f"{name!r}, which reads {source!r}, which does not exist"
        definition = operation_definition(graph.nodes[name].op)
        arguments = [] if definition is None else definition.input_arg
        fixed = definition is not None and not any(a.number_attr or a.type_list_attr for a in arguments)
        if fixed and len(inputs) != len(arguments):
            yield f"{name!r} ({graph.nodes[name].op}) with {len(inputs)} inputs instead of {len(arguments)}"
    cyclic = _cyclic_operation(graph)
    if cyclic:
        yield f"{cyclic!r}, which depends on its own result"


def _cyclic_operation(graph: Graph) -> str | None:
    """An operation of a cycle that is not a loop."""
    remaining = Counter({name: len({*map(node_name, graph.inputs[name])}) for name in graph.nodes})
    users = graph.users(graph.nodes)
    for name in [name for name, node in graph.nodes.items() if node.op in _BACK]:
        remaining[name] = 0
    ready = [name for name in graph.nodes if not remaining[name]]
    for name in ready:
        for user in set(users[name]):
            remaining[user] -= 1
            if remaining[user] == 0 and graph.nodes[user].op not in _BACK:
                ready.append(user)
    done = set(ready)
    return next((name for name in graph.nodes if name not in done), None)
