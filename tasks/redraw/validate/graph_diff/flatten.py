"""One flat list of the operations that some tensors need, function calls and control flow opened up.

It reads a `GraphDef` of TensorFlow's or of tensorboard's making: no TensorFlow is imported.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from redraw.validate.outcome import CannotRun

# Data and plumbing, and no computation: neither counted nor drawn, but edges lead through.
_NO_COMPUTATION = {
    "Const",
    "Placeholder",
    "PlaceholderWithDefault",
    "_Arg",
    "_Retval",
    "NoOp",
    "VarHandleOp",
    "VariableV2",
    "Variable",
    "ReadVariableOp",
    "HashTable",
    "HashTableV2",
    "Identity",
    "IdentityN",
    "StopGradient",
}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall", "SymbolicGradient", "RemoteCall"}
# Their first input chooses the function; the others are its arguments.
_CHOOSING = {"If", "StatelessIf", "Case", "StatelessCase"}
# Functions that call functions twice each double at every level: a bound, in case somebody means harm.
_MOST_OPERATIONS = 2_000_000


@dataclass(eq=False, slots=True)
class Operation:
    """One operation of a flattened graph.

    Attributes:
        name: Its path, scopes parted by slashes; those of the calls that lead to it are before it.
        type: What it computes, such as `Conv2D`; empty where it is no computation.
        sources: What it takes its inputs from; what it merely has to wait for is none.
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
    """What some tensors of a graph need.

    Attributes:
        operations: Those that compute; their sources do as well.
        ends: For each tensor asked for, what computes it.
    """

    operations: list[Operation]
    ends: list[list[Operation]]


def flatten_graph(graph: Any, ends: Iterable[str], inputs: Iterable[str] = ()) -> FlatGraph:
    """The operations that some tensors of a graph need.

    Args:
        graph: A `GraphDef`.
        ends: Names of nodes or tensors.
        inputs: Names of the placeholders to have in the list, under the type `Placeholder`.

    Returns:
        The operations, function calls and control flow opened up.

    Raises:
        CannotRun: Functions call functions without an end.
    """
    flattener = _Flattener(graph, set(inputs))
    at_ends = flattener.add_body(graph.node, list(ends), _Place())
    found = [operation for operation in flattener.operations if operation.type]
    for operation, sources in [(one, list(_computed(one.sources))) for one in found]:
        operation.sources = sources
    return FlatGraph(found, [list(_computed([end])) for end in at_ends])


def _computed(sources: list[Operation]) -> Iterator[Operation]:
    """The nearest sources that compute; what merely hands on is seen through."""
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
    """Where a body is opened up: below which scope, and in which node of the graph."""

    prefix: str = ""
    top: str = ""


class _Flattener:
    """Opens functions up, each as often as it is called."""

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
        """Add what `ends` of one body need; gives the operations at the ends."""
        named = {node.name: node for node in nodes}
        made: dict[str, Operation] = dict(arguments or {})
        queue = deque(_origin(end) for end in ends)
        while queue:
            name = queue.popleft()
            if name not in made and name in named:
                made[name] = self._made(named[name], place)
                queue.extend(_origin(source) for source in named[name].input)
        results = {name: self._connect(named[name], made) for name in list(made) if name in named}
        # What a call gives is known by now; before, any of its outputs stood for all of them.
        for name in [one for one in made if one in named]:
            data = [source for source in named[name].input if not source.startswith("^")]
            sources = [_result(source, made, results) for source in data]
            made[name].sources += [source for source in sources if source is not None]
        return [found for end in ends if (found := _result(end, made, results)) is not None]

    def _made(self, node: Any, place: _Place) -> Operation:
        if len(self.operations) >= _MOST_OPERATIONS:
            raise CannotRun(
                f"the graph has more than {_MOST_OPERATIONS} operations once its functions are opened up",
                "Call fewer functions out of functions.",
            )
        computes = node.op not in _NO_COMPUTATION and not self._is_call(node)
        known = node.op if computes or (not place.top and node.name in self._inputs) else ""
        made = Operation(name=_joined(place.prefix, node.name), type=known, top=place.top or node.name)
        self.operations.append(made)
        return made

    def _is_call(self, node: Any) -> bool:
        return node.op in _CALLS or node.op in self._functions

    def _connect(self, node: Any, made: Mapping[str, Operation]) -> list[Operation]:
        """Open up what a node calls; gives what a plain call answers, in order."""
        operation = made[node.name]
        given = [made.get(_origin(source)) for source in node.input if not source.startswith("^")]
        # A call's own name is no scope that anybody chose; a loop's is.
        called = self._is_call(node)
        place = _Place(operation.scope if called else operation.name, operation.top)
        answers: list[Operation] = []
        for name in self._called(node):
            answers = self._add_function(name, place, given[1:] if node.op in _CHOOSING else given)
            operation.sources += answers
        return answers if called else []

    def _called(self, node: Any) -> list[str]:
        names = [node.op]
        for key in sorted(node.attr):
            value = node.attr[key]
            names += [value.func.name, *(function.name for function in value.list.func)]
        return [name for name in names if name in self._functions]

    def _add_function(self, name: str, place: _Place, given: list[Operation | None]) -> list[Operation]:
        if name in self._open:
            raise CannotRun(f"the function {name!r} calls itself", "Export a graph without recursion.")
        function = self._functions[name]
        arguments = {}
        for number, argument in enumerate(function.signature.input_arg):
            source = given[number] if number < len(given) else None
            arguments[argument.name] = Operation(
                name=argument.name, type="", top=place.top, sources=[] if source is None else [source]
            )
        answered = [function.ret[output.name] for output in function.signature.output_arg]
        self._open.append(name)
        try:
            ends = [*answered, *sorted(function.control_ret.values())]
            return self.add_body(function.node_def, ends, place, arguments)[: len(answered)]
        finally:
            self._open.pop()


def _origin(source: str) -> str:
    """The node that an input names: `node`, `node:1`, `node:output:0` or `^node`."""
    return source.removeprefix("^").partition(":")[0]


def _result(
    source: str, made: Mapping[str, Operation], results: Mapping[str, list[Operation]]
) -> Operation | None:
    """What an input stands for: of a call just the answer that it names."""
    origin, _, rest = source.partition(":")
    answers = results.get(origin, [])
    number = rest.rpartition(":")[2]
    place = int(number) if number.isdigit() else 0
    return answers[place] if place < len(answers) else made.get(origin)


def _joined(prefix: str, name: str) -> str:
    """The name below a prefix, which the bodies of loops have in their names already."""
    return name if not prefix or name.startswith(f"{prefix}/") else f"{prefix}/{name}"
