"""Find the nodes that make a tensor, through calls, copies and variables."""

from __future__ import annotations

from collections.abc import Iterator

from redraw.recorded.nodes import node_name
from redraw.serving.graph.op_groups import is_update
from redraw.serving.graph.reachable import Place, Subgraph

_COPIES = {"Identity", "IdentityN", "Enter", "RefEnter", "StopGradient", "Reshape", "Squeeze", "ExpandDims"}
_READS = {"ReadVariableOp"}
_WRITES = {"AssignVariableOp", "Assign"}
# These call a function repeatedly, each time with the last results.
_LOOPS = {"While", "StatelessWhile", "For", "XlaWhile", "_While"}


def find_origins(
    subgraph: Subgraph, arguments: dict[str, list[str]], function: str, tensor: str
) -> set[Place]:
    """Follow a tensor back to what makes it.

    Args:
        subgraph: The nodes to search.
        arguments: Function to the names of its arguments.
        function: The function of the tensor; `MAIN` for the graph itself.
        tensor: Its name in the form of a node's input.

    Returns:
        The nodes that make it; several if a function is called from several places. A call counts as
        a node that makes its results; its function is not searched.
    """
    return _Search(subgraph, arguments).run(function, tensor)


class _Search:
    """One search, which visits each place once."""

    def __init__(self, subgraph: Subgraph, arguments: dict[str, list[str]]) -> None:
        self._subgraph, self._arguments = subgraph, arguments
        self._seen: set[tuple[str, str]] = set()

    def run(self, function: str, tensor: str) -> set[Place]:
        origins, queue = set(), [(function, tensor)]
        while queue:
            here = queue.pop()
            if here in self._seen:
                continue
            self._seen.add(here)
            before = list(self._before(*here))
            if before:
                queue += before
            elif node_name(here[1]) not in self._arguments.get(here[0], ()):
                origins.add(Place(here[0], node_name(here[1])))
        return origins

    def _before(self, function: str, tensor: str) -> Iterator[tuple[str, str]]:
        name = node_name(tensor)
        if name in self._arguments.get(function, ()):
            yield from self._argument_values(function, self._arguments[function].index(name))
            return
        node = self._subgraph.nodes.get(Place(function, name))
        if node is None:
            return
        if node.op in _COPIES and node.input:
            number = int(tensor.rpartition(":")[2]) if ":" in tensor and node.op == "IdentityN" else 0
            yield function, node.input[number]
        elif node.op in _READS:
            yield from self._assigned_values(
                _Search(self._subgraph, self._arguments).run(function, node.input[0])
            )

    def _argument_values(self, function: str, position: int) -> Iterator[tuple[str, str]]:
        """The inputs of a function's calls for an argument; the arguments are a call's last inputs."""
        count = len(self._arguments[function])
        for place in self._subgraph.calls.get(function, ()):
            inputs = [name for name in self._subgraph.nodes[place].input if not name.startswith("^")]
            if self._subgraph.nodes[place].op in _LOOPS:
                yield place.function, place.name
            if len(inputs) >= count:
                yield place.function, inputs[len(inputs) - count + position]

    def _assigned_values(self, variables: set[Place]) -> Iterator[tuple[str, str]]:
        """The values assigned to variables; for other changes, the operations that make them."""
        for place, node in self._subgraph.nodes.items():
            if node.input and is_update(node.op):
                target = _Search(self._subgraph, self._arguments).run(place.function, node.input[0])
                if target & variables:
                    yield place.function, node.input[1] if node.op in _WRITES else place.name
