"""Find a variable's place in a model by the order of layers instead of their names.

Keras 2 numbers the layers with weights, `layer_with_weights-3`; Keras 3 numbers every
operation, `_operations/7`, including dropout. Both name layers by counters that a second
model in the process shifts. The number of the layer with weights, counted from the input,
and the attribute there stay the same: `#3/kernel`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from redraw.checkpoint.objects.roles import objects_apart
from redraw.checkpoint.objects.trackable import ObjectGraph, Paths, number_of

_KERAS_2_LAYER = re.compile(r"layer_with_weights-([0-9]{1,18})")
# Attributes that repeat these layers, or list their variables.
_KERAS_2_REPEATS = re.compile(r"layer-\d+|layers|keras_api|(non_)?(trainable_)?variables")
_OPERATIONS, _WRAPPED = "_operations", "_functional"


def variables_by_structure(graph: ObjectGraph, start: int) -> dict[str, str]:
    """The variables below an object by their places.

    Returns:
        Place to the variable's key; a variable in several places is listed under each.
    """
    return _Walk(graph).places(start)


class _Walk:
    def __init__(self, graph: ObjectGraph) -> None:
        self._graph = graph
        self._apart = objects_apart(graph)
        self._with_weights = _with_weights(graph, self._apart)

    def places(self, start: int) -> dict[str, str]:
        keys: dict[str, str] = {}
        paths, queue = Paths(start), [start]
        for number in queue:
            for name, target in self._children(number):
                path = f"{paths[number]}/{name}" if paths[number] and name else paths[number] or name
                for tensor in self._graph.nodes[target].variables():
                    keys.setdefault(path, tensor.key)
                if target not in paths:
                    paths.add(target, path)
                    queue.append(target)
        return keys

    def _children(self, number: int) -> Iterator[tuple[str, int]]:
        node = self._graph.nodes[number]
        children = [(name, target) for name, target in node.children if target not in self._apart]
        numbered = [
            (int(match[1]), target)
            for name, target in children
            if (match := _KERAS_2_LAYER.fullmatch(name)) is not None
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
            if number is not None and target in self._with_weights:
                yield number, target


def _with_weights(graph: ObjectGraph, apart: set[int]) -> set[int]:
    """The objects that are a weight, or from which one is reachable without entering `apart`."""
    holders: dict[int, list[int]] = {}
    for number, node in enumerate(graph.nodes):
        for _, target in node.children:
            if target not in apart:
                holders.setdefault(target, []).append(number)
    queue = [number for number, node in enumerate(graph.nodes) if any(node.variables())]
    visited = set(queue)
    for number in queue:
        parents = set(holders.get(number, ())) - visited
        visited |= parents
        queue.extend(parents)
    return visited
