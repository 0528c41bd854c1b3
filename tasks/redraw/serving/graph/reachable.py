"""Find the nodes that a signature needs, in the graph and in the functions that it calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from redraw.recorded.nodes import called_functions, node_name

if TYPE_CHECKING:
    from tensorboard.compat.proto.function_pb2 import FunctionDef
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.node_def_pb2 import NodeDef

# The graph itself, as opposed to the functions of its library.
MAIN = ""


@dataclass(frozen=True)
class Place:
    """A node by name and its function; `MAIN` for the graph itself."""

    function: str
    name: str

    def __str__(self) -> str:
        return f"{self.name!r} in function {self.function!r}" if self.function else f"{self.name!r}"


@dataclass(kw_only=True)
class Subgraph:
    """The part of a graph that some nodes need, including these nodes.

    Attributes:
        nodes: Place to node.
        functions: The names of the called functions.
        calls: Function to every node that calls it.
    """

    nodes: dict[Place, NodeDef] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)
    calls: dict[str, list[Place]] = field(default_factory=dict)


def reach(graph: GraphDef, starts: Iterable[str], is_stateful: Callable[[str], bool]) -> Subgraph:
    """Follow inputs, control inputs and calls from some nodes of a graph.

    When it calls a function, TensorFlow runs the operations that the results and control results need, and
    every stateful operation. These are followed, and no others.

    Args:
        graph: The graph with its library.
        starts: Names of nodes or tensors; names that do not exist are ignored, because the loader
            reports them.
        is_stateful: Tells whether a type of operation is stateful.
    """
    return _Walk(graph, is_stateful).run(starts)


class _Walk:
    """One walk through a graph."""

    def __init__(self, graph: GraphDef, is_stateful: Callable[[str], bool]) -> None:
        self._functions = {function.signature.name: function for function in graph.library.function}
        self._bodies = {MAIN: {node.name: node for node in graph.node}}
        self._is_stateful = is_stateful
        self._queue: list[Place] = []
        self._subgraph = Subgraph()

    def run(self, starts: Iterable[str]) -> Subgraph:
        """Walk to the end."""
        self._queue = [Place(MAIN, node_name(name)) for name in starts]
        while self._queue:
            place = self._queue.pop()
            node = self._bodies[place.function].get(place.name)
            if node is None or place in self._subgraph.nodes:
                continue
            self._subgraph.nodes[place] = node
            self._queue += (Place(place.function, node_name(source)) for source in node.input)
            for name in called_functions(node):
                if name in self._functions:
                    self._call(name, place)
        return self._subgraph

    def _call(self, name: str, place: Place) -> None:
        self._subgraph.calls.setdefault(name, []).append(place)
        if name in self._subgraph.functions:
            return
        self._subgraph.functions.add(name)
        function = self._functions[name]
        self._bodies[name] = {node.name: node for node in function.node_def}
        stateful = (node.name for node in function.node_def if self._is_stateful(node.op))
        self._queue += (Place(name, node_name(source)) for source in (*_results(function), *stateful))


def _results(function: FunctionDef) -> Iterator[str]:
    yield from function.ret.values()
    yield from function.control_ret.values()
