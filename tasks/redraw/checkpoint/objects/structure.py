"""Where a variable is in a model, found by the order of layers instead of their names.

Keras 2 keeps the layers with weights as `layer_with_weights-3`, Keras 3 every operation as
`_operations/7`, dropout included, and both name layers by counters that a second model in
the process shifts. What stays the same is which layer with weights it is, counted from
the input, and the attribute there: `#3/kernel`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from redraw.checkpoint.objects.roles import objects_apart
from redraw.checkpoint.objects.trackable import ObjectGraph, Paths, number_of

_KERAS_2_LAYER = re.compile(r"layer_with_weights-([0-9]{1,18})")
# The same layers again, or lists of the variables in them.
_KERAS_2_REPEATS = re.compile(r"layer-\d+|layers|keras_api|(non_)?(trainable_)?variables")
_OPERATIONS, _WRAPPED = "_operations", "_functional"


def variables_by_structure(graph: ObjectGraph, start: int) -> dict[str, str]:
    """The variables below an object by their places.

    Returns:
        Place to the variable's key; a variable in several places is there under each.
    """
    return _Walk(graph).places(start)


class _Walk:
    def __init__(self, graph: ObjectGraph) -> None:
        self._graph = graph
        self._apart = objects_apart(graph)
        self._weighty = _weighty(graph, self._apart)

    def places(self, start: int) -> dict[str, str]:
        found: dict[str, str] = {}
        paths, queue = Paths(start), [start]
        for number in queue:
            for name, target in self._children(number):
                path = f"{paths[number]}/{name}" if paths[number] and name else paths[number] or name
                for tensor in self._graph.nodes[target].variables():
                    found.setdefault(path, tensor.key)
                if target not in paths:
                    paths.add(target, path)
                    queue.append(target)
        return found

    def _children(self, number: int) -> Iterator[tuple[str, int]]:
        node = self._graph.nodes[number]
        children = [(name, target) for name, target in node.children if target not in self._apart]
        numbered = [
            (int(found[1]), target)
            for name, target in children
            if (found := _KERAS_2_LAYER.fullmatch(name)) is not None
        ]
        for name, target in children:
            if name == _OPERATIONS:
                numbered.extend(self._operations(target))
            elif name == _WRAPPED:
                yield "", target
            elif not _KERAS_2_LAYER.fullmatch(name) and not _KERAS_2_REPEATS.fullmatch(name):
                yield name.lstrip("_"), target
        for rank, (_, target) in enumerate(sorted(numbered)):
            yield f"#{rank}", target

    def _operations(self, container: int) -> Iterator[tuple[int, int]]:
        for name, target in self._graph.nodes[container].children:
            number = number_of(name)
            if number is not None and target in self._weighty:
                yield number, target


def _weighty(graph: ObjectGraph, apart: set[int]) -> set[int]:
    """The objects that are a weight, or lead to one without entering `apart`."""
    holders: dict[int, list[int]] = {}
    for number, node in enumerate(graph.nodes):
        for _, target in node.children:
            if target not in apart:
                holders.setdefault(target, []).append(number)
    queue = [number for number, node in enumerate(graph.nodes) if any(node.variables())]
    seen = set(queue)
    for number in queue:
        found = set(holders.get(number, ())) - seen
        seen |= found
        queue.extend(found)
    return seen
