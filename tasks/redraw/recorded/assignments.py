"""Run what assigns a value to a variable, with values of our choice."""

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
    """The variable that a tensor reads, or is the updated value of; None for another tensor."""
    name = node_name(graph.resolve(tensor))
    while graph.nodes[name].op in _READS or graph.nodes[name].op in ASSIGNMENTS:
        name = node_name(graph.data_inputs(name)[0])
    return name if graph.nodes[name].op in VARIABLES else None


def shape_of(graph: Graph, variable: str) -> tuple[int, ...]:
    """A variable's shape."""
    return tuple(dim.size for dim in graph.nodes[variable].attr["shape"].shape.dim)


class Assignment:
    """What a variable is after an assignment, by what it was and what the network computed."""

    def __init__(self, graph: Graph, name: str, variable: str, statistic: str) -> None:
        self._graph, self._statistic = graph, statistic
        value = graph.data_inputs(name)[1]
        self._kind = ASSIGNMENTS[graph.nodes[name].op]
        self._reads = self._find_reads(value, variable)
        others = {t: v for t, v in self._find_reads(value, None).items() if t not in self._reads}
        self.others = others
        self._piece = Piece(graph, [value], [statistic, *self._reads, *others])

    def _find_reads(self, value: str, variable: str | None) -> dict[str, str]:
        """The tensors that read a variable, or any other one, on the way to a value."""
        reads: dict[str, str] = {}
        queue, seen = [self._graph.resolve(value)], set[str]()
        while queue and len(seen) < MOST_LOOKED_AT:
            tensor = queue.pop()
            if tensor in seen or tensor == self._graph.resolve(self._statistic):
                continue
            seen.add(tensor)
            name = node_name(tensor)
            op = self._graph.nodes[name].op
            # The output of an assignment is the variable as it is afterwards.
            reads_it = op in VARIABLES or op == "ReadVariableOp" or op in ASSIGNMENTS
            of = variable_of(self._graph, tensor) if reads_it else None
            if of is not None and variable in (None, of):
                reads[tensor] = of
            elif of is None:
                queue += self._graph.data_inputs(name)
        return reads

    def run(self, old: np.ndarray, statistic: np.ndarray, others: dict[str, Any]) -> np.ndarray:
        """The variable's new value."""
        fed = {**dict.fromkeys(self._reads, old), **{t: others[v] for t, v in self.others.items()}}
        (value,) = self._piece.run({self._statistic: statistic, **fed})
        value = np.asarray(value, np.float64).reshape(old.shape)
        return {"set": value, "subtract": old - value, "add": old + value}[self._kind]


def starts_of(graph: Graph) -> dict[str, list[str]]:
    """Variable to the operations that set it: one of them gives its initial value."""
    starts: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        if node.op in ("Assign", "AssignVariableOp"):
            starts.setdefault(node_name(graph.inputs[name][0]), []).append(name)
    return starts


def initial_value(graph: Graph, variable: str, starts: dict[str, list[str]]) -> Any:
    """A variable's initial value, if the graph has it as a constant; `starts` is of `starts_of`."""
    for name in starts.get(variable, ()):
        value = known_value(graph, graph.inputs[name][1])
        if value is not None and value.shape == shape_of(graph, variable):
            return value
    return None
