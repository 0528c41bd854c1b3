"""The random or stateful operations that a definition declares, and each signature reaches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.validate.subject import Subject

__all__ = ["declared_kinds"]


def declared_kinds(subject: Subject) -> Mapping[str, tuple[str, ...]]:
    """Signature name to the kinds of `stateful_ops` that answering it may run."""
    declared = set(subject.definition.stateful_ops)
    if not declared:
        return dict.fromkeys(subject.definition.signatures, ())
    graph = subject.meta_graph
    return {
        name: tuple(sorted(declared & _kinds(graph.graph_def, signature.outputs.values())))
        for name, signature in graph.signature_def.items()
    }


def _kinds(graph: Any, outputs: Iterable[Any]) -> set[str]:
    """Kinds of the nodes that some tensors come from, with all that the functions on the way hold."""
    nodes = {node.name: node for node in graph.node}
    functions = {function.signature.name: function for function in graph.library.function}
    waiting: list[Any] = [nodes[name] for name in map(_node_name, (o.name for o in outputs)) if name in nodes]
    kinds, seen, called = set(), {node.name for node in waiting}, set[str]()
    while waiting:
        node = waiting.pop()
        kinds.add(node.op)
        for source in map(_node_name, node.input):
            if source in nodes and source not in seen:
                seen.add(source)
                waiting.append(nodes[source])
        for name in _called(node):
            if name in functions and name not in called:
                called.add(name)
                waiting.extend(_inside(functions[name]))
    return kinds


def _inside(function: Any) -> Iterable[Any]:
    """A function's nodes, cut off from the names of the graph outside of it."""
    for node in function.node_def:
        copy = type(node)()
        copy.CopyFrom(node)
        del copy.input[:]
        yield copy


def _called(node: Any) -> Iterable[str]:
    yield node.op
    for value in node.attr.values():
        yield value.func.name
        yield from (function.name for function in value.list.func)


def _node_name(tensor: str) -> str:
    return tensor.lstrip("^").partition(":")[0]
