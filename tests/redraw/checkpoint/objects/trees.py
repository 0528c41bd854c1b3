"""Object graphs, written as the attributes of their objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from redraw.checkpoint.objects.trackable import VARIABLE_VALUE, ObjectGraph, ObjectNode, SavedTensor

__all__ = ["Tree", "graph_of", "numbered", "variable"]

Tree = Mapping[str, Any]


def graph_of(tree: Tree) -> ObjectGraph:
    """Objects by the attributes that hold them.

    A string is a variable with that key and full name; a `SavedTensor` a variable with others; an object
    that stands in two places is the same one.
    """
    nodes: list[ObjectNode | None] = []
    known: dict[int, int] = {}

    def add(item: Tree | SavedTensor | str) -> int:
        if id(item) in known:
            return known[id(item)]
        number = len(nodes)
        known[id(item)] = number
        nodes.append(None)
        children = (
            tuple((name, add(held)) for name, held in item.items()) if isinstance(item, Mapping) else ()
        )
        tensor = SavedTensor(VARIABLE_VALUE, item, item) if isinstance(item, str) else item
        tensors = (tensor,) if isinstance(tensor, SavedTensor) else ()
        nodes[number] = ObjectNode(children=children, tensors=tensors, slot_variables=())
        return number

    add(tree)
    return ObjectGraph(nodes=tuple(node for node in nodes if node is not None))


def variable(key: str, full_name: str) -> SavedTensor:
    """A variable whose name is not its key."""
    return SavedTensor(VARIABLE_VALUE, full_name, key)


def numbered(items: Iterable[Any]) -> Tree:
    """A list, as an object with a number for each attribute; the numbers in the order of texts."""
    return dict(sorted((str(number), item) for number, item in enumerate(items)))
