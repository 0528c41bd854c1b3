"""Run the operations that assign a value to a variable, with chosen values."""

from __future__ import annotations

from typing import Any

import numpy as np

from redraw.recorded.graph import Graph
from redraw.recorded.nodes import node_name
from redraw.recorded.operations import ASSIGNMENTS, VARIABLES
from redraw.recorded.running import Piece, known_value

_READS = {"ReadVariableOp", "Identity", "Enter", "RefEnter", "Switch", "RefSwitch", "Cast", "Reshape"}
MOST_LOOKED_AT = 200


def variable_of(graph: Graph, tensor: str) -> str | None:
    """The variable whose value, or updated value, a tensor is; None for another tensor."""
    name = node_name(graph.resolve(tensor))
    while graph.nodes[name].op in _READS or graph.nodes[name].op in ASSIGNMENTS:
        name = node_name(graph.data_inputs(name)[0])
    return name if graph.nodes[name].op in VARIABLES else None


def shape_of(graph: Graph, variable: str) -> tuple[int, ...]:
    """A variable's shape."""
    return tuple(dim.size for dim in graph.nodes[variable].attr["shape"].shape.dim)


class Assignment:
    """A variable's value after an assignment, from its old value and what the network computed."""

    def __init__(self, graph: Graph, name: str, variable: str, statistic: str) -> None:
        self._graph, self._statistic = graph, statistic
        value = graph.data_inputs(name)[1]
        self._kind = ASSIGNMENTS[graph.nodes[name].op]
        self._reads = self._find_reads(value, variable)
        others = {t: v for t, v in self._find_reads(value, None).items() if t not in self._reads}
        self.others = others
        self._piece = Piece(graph, [value], [statistic, *self._reads, *others])

    def _find_reads(self, value: str, variable: str | None) -> dict[str, str]:
        """The tensors that read `variable`, or any variable if it is None, and that a value depends on."""
        reads: dict[str, str] = {}
        queue, visited = [self._graph.resolve(value)], set[str]()
        while queue and len(visited) < MOST_LOOKED_AT:
            tensor = queue.pop()
            if tensor in visited or tensor == self._graph.resolve(self._statistic):
                continue
            visited.add(tensor)
            name = node_name(tensor)
            op = self._graph.nodes[name].op
            # The output of an assignment is the variable's new value.
            reads_it = op in VARIABLES or op == "ReadVariableOp" or op in ASSIGNMENTS
            source = variable_of(self._graph, tensor) if reads_it else None
            if source is not None and variable in (None, source):
                reads[tensor] = source
            elif source is None:
                queue += self._graph.data_inputs(name)
        return reads

    def run(self, old: np.ndarray, statistic: np.ndarray, others: dict[str, Any]) -> np.ndarray:
        """The variable's new value."""
        feeds = {**dict.fromkeys(self._reads, old), **{t: others[v] for t, v in self.others.items()}}
        (value,) = self._piece.run({self._statistic: statistic, **feeds})
        value = np.asarray(value, np.float64).reshape(old.shape)
        return {"set": value, "subtract": old - value, "add": old + value}[self._kind]


def starts_of(graph: Graph) -> dict[str, list[str]]:
    """Variable to the operations that set it; one of them sets its initial value."""
    starts: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        if node.op in ("Assign", "AssignVariableOp"):
            starts.setdefault(node_name(graph.inputs[name][0]), []).append(name)
    return starts


def initial_value(graph: Graph, variable: str, starts: dict[str, list[str]]) -> Any:
    """A variable's initial value, if the graph has it as a constant; `starts` is from `starts_of`."""
    for name in starts.get(variable, ()):
        value = known_value(graph, graph.inputs[name][1])
        if value is not None and value.shape == shape_of(graph, variable):
            return value
    return None
