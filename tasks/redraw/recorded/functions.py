"""Turn the recording's functions into graphs and back, or inline them in place of a call.

Source:
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/framework/function.proto
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow.core.framework import function_pb2, node_def_pb2

from redraw.compat.tensorflow import operation_definition
from redraw.errors import InvalidDefinition
from redraw.recorded.graph import Graph, full_name
from redraw.recorded.nodes import node_name
from redraw.recorded.operations import outputs_named
from redraw.recorded.sound import demand_sound

_MARK = "__redrawn_"


class Body:
    """A function's body.

    Attributes:
        graph: Its nodes; the arguments are nodes of the kind `_Arg`.
        arguments: The arguments' tensors, in order.
        returned: The tensors that it returns, in order.
    """

    def __init__(self, function: Any, functions: dict[str, Any], where: str) -> None:
        self._function = function
        arguments = [_argument(argument, n) for n, argument in enumerate(function.signature.input_arg)]
        nodes = {node.name: node for node in function.node_def}
        names = {argument.name for argument in arguments}
        flat = [*arguments, *(_flat(node, nodes, names, functions) for node in function.node_def)]
        self.graph = Graph(flat, functions, f"{where}, function {function.signature.name}")
        self.arguments = [f"{argument.name}:0" for argument in arguments]
        results = [function.ret[argument.name] for argument in function.signature.output_arg]
        self.returned = [_flat_tensor(result, nodes, names, functions) for result in results]

    def close(
        self, name: str, arguments: Sequence[int] | None = None, returned: Sequence[int] | None = None
    ) -> Any:
        """The function of the changed graph.

        Args:
            name: The function's name.
            arguments: The numbers of the arguments to keep; None for all.
            returned: The numbers of the results to keep; None for all.
        """
        graph, signature = self.graph, self._function.signature
        inputs = range(len(self.arguments)) if arguments is None else arguments
        numbers = range(len(self.returned)) if returned is None else returned
        closed = function_pb2.FunctionDef()
        closed.signature.name = name
        closed.signature.input_arg.extend(signature.input_arg[number] for number in inputs)
        closed.signature.output_arg.extend(signature.output_arg[number] for number in numbers)
        needed = graph.reach(self.returned[number] for number in numbers)
        for node in graph.part([n for n in needed if graph.nodes[n].op != "_Arg"]).node:
            data = [self._nested(tensor) for tensor in graph.data_inputs(node.name)]
            controls = [
                f"^{c}" for c in graph.controls[node.name] if c in needed and graph.nodes[c].op != "_Arg"
            ]
            node.input[:] = [*data, *controls]
            closed.node_def.add().CopyFrom(node)
        for number in numbers:
            name_of = signature.output_arg[number].name
            closed.ret[name_of] = self._nested(graph.resolve(self.returned[number]))
        return closed

    def _nested(self, tensor: str) -> str:
        """A tensor's name in a function."""
        node = self.graph.nodes[node_name(tensor)]
        if node.op == "_Arg":
            return str(node.name)
        number = int(tensor.rpartition(":")[2])
        for name, count in _named_outputs(node, self.graph.functions):
            if number < count:
                return f"{node.name}:{name}:{number}"
            number -= count
        raise InvalidDefinition(
            f"{self.graph.where}: expected an output {tensor!r}, found none. Draft the definition again"
            " ('redraw draft')."
        )


def open_body(graph: Graph, name: str) -> Body:
    """A function of a graph's recording, as a graph.

    Raises:
        InvalidDefinition: The recording has no such function, or it is malformed.
    """
    if name not in graph.functions:
        raise InvalidDefinition(
            f"{graph.where}: expected the function {name!r}, which the graph calls, found none in its"
            " library. Name the complete .meta file."
        )
    body = Body(graph.functions[name], graph.functions, graph.where)
    demand_sound(body.graph)
    return body


def fresh_name(graph: Graph, name: str) -> str:
    """A name for another form of a function."""
    return f"{original_name(name)}{_MARK}{len(graph.functions)}"


def original_name(name: str) -> str:
    """A function's name in the recording."""
    return name.partition(_MARK)[0]


def inline(graph: Graph, call: str, name: str, arguments: Sequence[str]) -> None:
    """Put a function's nodes in the place of a call.

    Args:
        graph: The graph; it is changed.
        call: The node that calls.
        name: The function.
        arguments: Tensors of the graph.
    """
    body = open_body(graph, name)
    for node in body.graph.nodes.values():
        placed = node_def_pb2.NodeDef()
        placed.CopyFrom(node)
        placed.name = f"{call}/{node.name}"
        placed.input[:] = [_placed(call, tensor) for tensor in node.input]
        graph.take(placed)
    for inner, outer in zip(body.arguments, arguments, strict=True):
        graph.replaced[f"{call}/{inner}"] = outer
    for number, tensor in enumerate(body.returned):
        graph.replaced[f"{call}:{number}"] = f"{call}/{tensor}"


def _placed(call: str, tensor: str) -> str:
    return f"^{call}/{tensor[1:]}" if tensor.startswith("^") else f"{call}/{tensor}"


def _argument(argument: Any, number: int) -> Any:
    node = node_def_pb2.NodeDef(name=argument.name, op="_Arg")
    node.attr["T"].type = argument.type
    node.attr["index"].i = number
    return node


def _flat(node: Any, nodes: dict[str, Any], arguments: set[str], functions: dict[str, Any]) -> Any:
    flat = node_def_pb2.NodeDef()
    flat.CopyFrom(node)
    flat.input[:] = [
        tensor if tensor.startswith("^") else _flat_tensor(tensor, nodes, arguments, functions)
        for tensor in node.input
    ]
    return flat


def _flat_tensor(tensor: str, nodes: dict[str, Any], arguments: set[str], functions: dict[str, Any]) -> str:
    """A function's `node:output:number` as a graph's `node:number`."""
    name, _, rest = tensor.partition(":")
    if name in arguments or not rest:
        return full_name(name)
    output, _, number = rest.partition(":")
    before = 0
    for other, count in _named_outputs(nodes[name], functions):
        if other == output:
            return f"{name}:{before + int(number or 0)}"
        before += count
    return f"{name}:{before}"


def _named_outputs(node: Any, functions: dict[str, Any]) -> list[tuple[str, int]]:
    definition = functions[node.op].signature if node.op in functions else operation_definition(node.op)
    return [] if definition is None else list(outputs_named(node, definition))
