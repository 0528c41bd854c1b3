"""A recorded graph, or the body of one of its functions, with replaced tensors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from tensorflow.core.framework import graph_pb2, node_def_pb2

from redraw.errors import InvalidDefinition
from redraw.recorded.nodes import follow_calls, node_name
from redraw.recorded.operations import COPIES, output_types_of

# The prefix of the inputs' placeholders.
INPUT = "redraw_input/"

_DROPPED = ("_class", "_output_shapes")


def full_name(tensor: str) -> str:
    """A tensor's name with the number of its operation's output."""
    return tensor if tensor.startswith("^") or ":" in tensor else f"{tensor}:0"


def copied(node: Any) -> Any:
    """A copy of a node to change, so that the recording stays unchanged."""
    copy = node_def_pb2.NodeDef()
    copy.CopyFrom(node)
    return copy


class Graph:
    """Nodes by name; inputs are resolved to their replacements.

    Args:
        nodes: `NodeDef`s; they are not changed.
        functions: Name to `FunctionDef`, shared by all graphs of one recording.
        where: The recording's file, for messages.

    Attributes:
        nodes: Name to `NodeDef`.
        inputs: Name of a node to its recorded data inputs.
        controls: Name of a node to the nodes that have to run before.
        replaced: Tensor to its replacement.
        shapes: Tensor to its shape, for known ranks; None is an unknown size.
        functions: Name to `FunctionDef`.
        where: The recording's file, for messages.
    """

    def __init__(self, nodes: Iterable[Any], functions: dict[str, Any], where: str) -> None:
        self.nodes: dict[str, Any] = {}
        self.inputs: dict[str, list[str]] = {}
        self.controls: dict[str, list[str]] = {}
        self.replaced: dict[str, str] = {}
        self.shapes: dict[str, tuple[int | None, ...]] = {}
        self.functions = functions
        self.where = where
        for node in nodes:
            self.take(node)

    def take(self, node: Any) -> None:
        """Add a `NodeDef`, or replace the one of its name."""
        self.nodes[node.name] = node
        self.inputs[node.name] = [full_name(name) for name in node.input if not name.startswith("^")]
        self.controls[node.name] = [name[1:] for name in node.input if name.startswith("^")]

    def add(self, name: str, op: str, inputs: Iterable[str] = (), **attributes: Any) -> str:
        """Add a node, or replace the one of its name.

        Args:
            name: Its name.
            op: Its operation.
            inputs: Its data inputs.
            attributes: Name to `AttrValue`, or to a `DataType` for a type.

        Returns:
            Its first output.
        """
        node = node_def_pb2.NodeDef(name=name, op=op, input=inputs)
        for key, value in attributes.items():
            if isinstance(value, int):
                node.attr[key].type = value
            else:
                node.attr[key].CopyFrom(value)
        self.take(node)
        return f"{name}:0"

    def add_constant(self, name: str, value: Any, dtype: Any = None) -> str:
        """Add a constant, or replace the node of its name; return its tensor."""
        import tensorflow as tf

        node = node_def_pb2.NodeDef(name=name, op="Const")
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype))
        node.attr["dtype"].type = node.attr["value"].tensor.dtype
        self.take(node)
        return f"{name}:0"

    def demand_tensor(self, name: str, role: str) -> str:
        """The full name of a tensor that the definition names.

        Raises:
            InvalidDefinition: The graph has no such tensor.
        """
        tensor = full_name(name)
        node = self.nodes.get(node_name(tensor))
        number = tensor.rpartition(":")[2]
        if node is None or not number.isdigit() or int(number) >= max(len(output_types_of(node)), 1):
            import difflib

            close = difflib.get_close_matches(node_name(tensor), self.nodes, n=3)
            raise InvalidDefinition(
                f"{self.where}: {role} {name!r}: expected a tensor of the recorded graph, found none with"
                f" this name; the nearest names are {', '.join(close) or 'none'}. Correct the name."
            )
        return tensor

    def dtype(self, tensor: str) -> int:
        """The `DataType` of a tensor; 0 if the operation is unknown."""
        types = output_types_of(self.nodes[node_name(tensor)])
        number = int(tensor.rpartition(":")[2])
        return types[number] if number < len(types) else 0

    def resolve(self, tensor: str) -> str:
        """The tensor that replaces a tensor, or the tensor itself."""
        while tensor in self.replaced:
            tensor = self.replaced[tensor]
        return tensor

    def data_inputs(self, name: str) -> list[str]:
        """A node's data inputs, resolved to their replacements."""
        return [self.resolve(tensor) for tensor in self.inputs[name]]

    def plain(self, tensor: str) -> str:
        """The origin of a tensor's value, before operations that only copy it."""
        tensor = self.resolve(tensor)
        while self.nodes[node_name(tensor)].op in COPIES:
            tensor = self.data_inputs(node_name(tensor))[0]
        return tensor

    def reach(self, tensors: Iterable[str], stop: Collection[str] = ()) -> dict[str, None]:
        """The nodes that tensors are computed from, in a fixed order, nearest first.

        Args:
            tensors: Tensors.
            stop: Nodes that are not entered.
        """
        queue = [node_name(self.resolve(full_name(tensor))) for tensor in tensors]
        visited = {name: None for name in queue if name not in stop}
        queue = list(visited)
        for name in queue:
            for tensor in self._needed_by(name):
                source = node_name(tensor)
                if source not in visited and source not in stop:
                    visited[source] = None
                    queue.append(source)
        return visited

    def _needed_by(self, name: str) -> list[str]:
        """A node's inputs; for a node without any, the nodes that place it in a loop."""
        inputs = self.data_inputs(name)
        if inputs or not self.controls[name]:
            return inputs
        return [
            self.resolve(f"{control}:0")
            for control in self.controls[name]
            if control in self.nodes and self._in_loop(control)
        ]

    def _in_loop(self, name: str) -> bool:
        if not hasattr(self, "_loops"):
            self._loops = self._find_loops()
        return name in self._loops

    def _find_loops(self) -> set[str]:
        """The nodes inside of v1 loops."""
        users = self.users(self.nodes, controls=True)
        inside = {name for name, node in self.nodes.items() if node.op in ("Enter", "RefEnter")}
        queue = list(inside)
        for name in queue:
            for user in users[name]:
                if user not in inside and self.nodes[user].op not in ("Exit", "RefExit"):
                    inside.add(user)
                    queue.append(user)
        return inside

    def users(self, among: Iterable[str], *, controls: bool = False) -> Mapping[str, list[str]]:
        """Node to the nodes that read it."""
        users: dict[str, list[str]] = defaultdict(list)
        for name in among:
            for tensor in self.data_inputs(name):
                users[node_name(tensor)].append(name)
            for control in self.controls[name] if controls else ():
                users[control].append(name)
        return users

    def find(self, test: Callable[[Any], bool]) -> Iterator[str]:
        """The names of the nodes that pass a test."""
        return (name for name, node in self.nodes.items() if test(node))

    def part(self, names: Iterable[str], *, loops: bool = True) -> Any:
        """A `GraphDef` of some nodes.

        Args:
            names: The nodes.
            loops: Whether v1 loops stay; without them a piece of a loop can run alone.
        """
        chosen = dict.fromkeys(names)
        part = graph_pb2.GraphDef()
        for name in chosen:
            node = part.node.add()
            node.CopyFrom(self.nodes[name])
            node.input[:] = self.data_inputs(name)
            node.device = ""
            for attribute in _DROPPED:
                node.attr.pop(attribute, None)
            if loops:
                node.input.extend(f"^{control}" for control in self.controls[name] if control in chosen)
            elif node.op in ("Enter", "RefEnter"):
                node.op = "Identity"
                for attribute in ("frame_name", "is_constant", "parallel_iterations"):
                    node.attr.pop(attribute, None)
        part.library.function.extend(self.functions[name] for name in follow_calls(part.node, self.functions))
        return part
