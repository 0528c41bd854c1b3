"""Flatten the part of a graph that some tensors need: function calls and control flow are inlined.

It reads a `GraphDef` of TensorFlow or of tensorboard, and imports no TensorFlow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from redraw.validate.outcome import CannotRun

# Data and plumbing without computation: neither counted nor drawn, but edges lead through them.
_NO_COMPUTATION = {
    "Const",
    "HashTable",
    "HashTableV2",
    "Identity",
    "IdentityN",
    "NoOp",
    "Placeholder",
    "PlaceholderWithDefault",
    "ReadVariableOp",
    "StopGradient",
    "VarHandleOp",
    "Variable",
    "VariableV2",
    "_Arg",
    "_Retval",
}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall", "SymbolicGradient", "RemoteCall"}
# Their first input chooses the function; the others are its arguments.
_CHOOSING = {"If", "StatelessIf", "Case", "StatelessCase"}
# Functions that call others twice double the graph at every level: a bound against hostile graphs.
_MOST_OPERATIONS = 2_000_000


@dataclass(eq=False, slots=True)
class Operation:
    """One operation of a flattened graph.

    Attributes:
        name: Its path, with slashes between scopes; the scopes of the calls that lead to it come first.
        type: What it computes, such as `Conv2D`; empty if it computes nothing.
        sources: The operations that give its inputs, without control dependencies.
        top: The name of the outermost node that it belongs to.
    """

    name: str
    type: str
    top: str
    sources: list[Operation] = field(default_factory=list)

    @property
    def scope(self) -> str:
        """Its path without its own name; empty at the root."""
        return self.name.rpartition("/")[0]


@dataclass(frozen=True)
class FlatGraph:
    """The operations that some tensors of a graph need.

    Attributes:
        operations: The operations that compute; so do their sources.
        ends: For each requested tensor, the operations that compute it.
    """

    operations: list[Operation]
    ends: list[list[Operation]]


def flatten_graph(graph: Any, ends: Iterable[str], inputs: Iterable[str] = ()) -> FlatGraph:
    """Collect the operations that some tensors of a graph need.

    Args:
        graph: A `GraphDef`.
        ends: Names of nodes or tensors.
        inputs: Names of the placeholders to have in the list, under the type `Placeholder`.

    Returns:
        The operations, with function calls and control flow inlined.

    Raises:
        CannotRun: A function calls itself, or the graph has too many operations.
    """
    flattener = _Flattener(graph, set(inputs))
    at_ends = flattener.add_body(graph.node, list(ends), _Place())
    computing = [operation for operation in flattener.operations if operation.type]
    for operation, sources in [(op, list(_computing(op.sources))) for op in computing]:
        operation.sources = sources
    return FlatGraph(computing, [list(_computing([end])) for end in at_ends])


def _computing(sources: list[Operation]) -> Iterator[Operation]:
    """The nearest sources that compute, behind those that only pass values on."""
    queue, seen = deque(sources), set[int]()
    while queue:
        source = queue.popleft()
        if id(source) in seen:
            continue
        seen.add(id(source))
        if source.type:
            yield source
        else:
            queue.extend(source.sources)


@dataclass(frozen=True)
class _Place:
    """Where a function's body is inlined: below which scope, and in which node of the graph."""

    prefix: str = ""
    top: str = ""


class _Flattener:
    """Inlines functions, each as often as it is called."""

    def __init__(self, graph: Any, inputs: set[str]) -> None:
        self._functions = {function.signature.name: function for function in graph.library.function}
        self._inputs = inputs
        self._open: list[str] = []
        self.operations: list[Operation] = []

    def add_body(
        self,
        nodes: Iterable[Any],
        ends: list[str],
        place: _Place,
        arguments: Mapping[str, Operation] | None = None,
    ) -> list[Operation]:
        """Add the operations that `ends` of one body need; returns the operations at the ends."""
        named = {node.name: node for node in nodes}
        made: dict[str, Operation] = dict(arguments or {})
        queue = deque(_origin(end) for end in ends)
        while queue:
            name = queue.popleft()
            if name not in made and name in named:
                made[name] = self._add_operation(named[name], place)
                queue.extend(_origin(source) for source in named[name].input)
        results = {name: self._connect(named[name], made) for name in list(made) if name in named}
        # Only now are the outputs of calls known; before, a call stood for all of its outputs.
        for name in [name for name in made if name in named]:
            data = [source for source in named[name].input if not source.startswith("^")]
            sources = [_result(source, made, results) for source in data]
            made[name].sources += [source for source in sources if source is not None]
        return [op for end in ends if (op := _result(end, made, results)) is not None]

    def _add_operation(self, node: Any, place: _Place) -> Operation:
        if len(self.operations) >= _MOST_OPERATIONS:
            raise CannotRun(
                f"the graph has more than {_MOST_OPERATIONS} operations when function calls are inlined",
                "Use fewer nested tf.functions.",
            )
        computes = node.op not in _NO_COMPUTATION and not self._is_call(node)
        op_type = node.op if computes or (not place.top and node.name in self._inputs) else ""
        operation = Operation(name=_join(place.prefix, node.name), type=op_type, top=place.top or node.name)
        self.operations.append(operation)
        return operation

    def _is_call(self, node: Any) -> bool:
        return node.op in _CALLS or node.op in self._functions

    def _connect(self, node: Any, made: Mapping[str, Operation]) -> list[Operation]:
        """Inline the functions that a node calls; returns the results of a plain call, in order."""
        operation = made[node.name]
        inputs = [made.get(_origin(source)) for source in node.input if not source.startswith("^")]
        # Users choose the scope of a loop, but not of a call.
        is_call = self._is_call(node)
        place = _Place(operation.scope if is_call else operation.name, operation.top)
        results: list[Operation] = []
        for name in self._called(node):
            results = self._add_function(name, place, inputs[1:] if node.op in _CHOOSING else inputs)
            operation.sources += results
        return results if is_call else []

    def _called(self, node: Any) -> list[str]:
        names = [node.op]
        for key in sorted(node.attr):
            value = node.attr[key]
            names += [value.func.name, *(function.name for function in value.list.func)]
        return [name for name in names if name in self._functions]

    def _add_function(self, name: str, place: _Place, inputs: list[Operation | None]) -> list[Operation]:
        if name in self._open:
            raise CannotRun(f"the function {name!r} calls itself", "Export a graph without recursion.")
        function = self._functions[name]
        arguments = {}
        for number, argument in enumerate(function.signature.input_arg):
            source = inputs[number] if number < len(inputs) else None
            arguments[argument.name] = Operation(
                name=argument.name, type="", top=place.top, sources=[] if source is None else [source]
            )
        results = [function.ret[output.name] for output in function.signature.output_arg]
        self._open.append(name)
        try:
            ends = [*results, *sorted(function.control_ret.values())]
            return self.add_body(function.node_def, ends, place, arguments)[: len(results)]
        finally:
            self._open.pop()


def _origin(source: str) -> str:
    """The node that an input names: `node`, `node:1`, `node:output:0` or `^node`."""
    return source.removeprefix("^").partition(":")[0]


def _result(
    source: str, made: Mapping[str, Operation], results: Mapping[str, list[Operation]]
) -> Operation | None:
    """The operation behind an input; if that is a call, the one behind the output that the input names."""
    origin, _, rest = source.partition(":")
    answers = results.get(origin, [])
    number = rest.rpartition(":")[2]
    place = int(number) if number.isdigit() else 0
    return answers[place] if place < len(answers) else made.get(origin)


def _join(prefix: str, name: str) -> str:
    """The name below a prefix; names in the bodies of loops have the prefix already."""
    return name if not prefix or name.startswith(f"{prefix}/") else f"{prefix}/{name}"
