"""Where a tensor comes from, through calls, copies and the variable that holds it."""

from __future__ import annotations

from collections.abc import Iterator

from redraw.recorded.nodes import node_name
from redraw.serving.graph.op_groups import is_update
from redraw.serving.graph.reachable import Place, Reached

_COPIES = {"Identity", "IdentityN", "Enter", "RefEnter", "StopGradient", "Reshape", "Squeeze", "ExpandDims"}
_READS = {"ReadVariableOp"}
_WRITES = {"AssignVariableOp", "Assign"}
# These call a function again and again, each time with what it gave the last time.
_LOOPS = {"While", "StatelessWhile", "For", "XlaWhile", "_While"}


def find_origins(reached: Reached, arguments: dict[str, list[str]], function: str, tensor: str) -> set[Place]:
    """Follow a tensor back to what makes it.

    Args:
        reached: The nodes among which to look.
        arguments: Function to the names of its arguments.
        function: The function that the tensor is in, `MAIN` for none.
        tensor: Its name there, as a node's input has it.

    Returns:
        The nodes that make it: more than one where a function is called from several places.
        A call counts as a maker; its inside is not searched.
    """
    return _Search(reached, arguments).run(function, tensor)


class _Search:
    """One search, which goes to each place once."""

    def __init__(self, reached: Reached, arguments: dict[str, list[str]]) -> None:
        self._reached, self._arguments = reached, arguments
        self._seen: set[tuple[str, str]] = set()

    def run(self, function: str, tensor: str) -> set[Place]:
        found, queue = set(), [(function, tensor)]
        while queue:
            here = queue.pop()
            if here in self._seen:
                continue
            self._seen.add(here)
            before = list(self._before(*here))
            if before:
                queue += before
            elif node_name(here[1]) not in self._arguments.get(here[0], ()):
                found.add(Place(here[0], node_name(here[1])))
        return found

    def _before(self, function: str, tensor: str) -> Iterator[tuple[str, str]]:
        name = node_name(tensor)
        if name in self._arguments.get(function, ()):
            yield from self._given(function, self._arguments[function].index(name))
            return
        node = self._reached.nodes.get(Place(function, name))
        if node is None:
            return
        if node.op in _COPIES and node.input:
            number = int(tensor.rpartition(":")[2]) if ":" in tensor and node.op == "IdentityN" else 0
            yield function, node.input[number]
        elif node.op in _READS:
            yield from self._written(_Search(self._reached, self._arguments).run(function, node.input[0]))

    def _given(self, function: str, position: int) -> Iterator[tuple[str, str]]:
        """What the calls of a function give for an argument: its arguments are a call's last inputs."""
        count = len(self._arguments[function])
        for place in self._reached.calls.get(function, ()):
            inputs = [name for name in self._reached.nodes[place].input if not name.startswith("^")]
            if self._reached.nodes[place].op in _LOOPS:
                yield place.function, place.name
            if len(inputs) >= count:
                yield place.function, inputs[len(inputs) - count + position]

    def _written(self, variables: set[Place]) -> Iterator[tuple[str, str]]:
        """The values that are assigned to variables; of other changes the operation that makes them."""
        for place, node in self._reached.nodes.items():
            if node.input and is_update(node.op):
                target = _Search(self._reached, self._arguments).run(place.function, node.input[0])
                if target & variables:
                    yield place.function, node.input[1] if node.op in _WRITES else place.name
