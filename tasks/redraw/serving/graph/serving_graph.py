"""The graph of an export, with the parts that its signatures, initialization and restoring need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.messages import SavedModel, parse_message
from redraw.recorded.nodes import called_functions, node_name
from redraw.serving.graph.origins import find_origins
from redraw.serving.graph.reachable import Place, Subgraph, reach
from redraw.serving.graph.runtimes.op_lists import read_releases

if TYPE_CHECKING:
    from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef, SignatureDef, TensorInfo
    from tensorboard.compat.proto.node_def_pb2 import NodeDef

# TensorFlow stores the operation that initializes a model as a signature that is never called.
INITIALIZER = "__saved_model_init_op"
# The collections in which older exports name that operation.
_INITIALIZERS = ("saved_model_main_op", "legacy_init_op")
_ASSIGNMENTS = {"AssignVariableOp", "Assign"}
_VARIABLES = {"VarHandleOp", "VariableV2", "Variable"}


class ServingGraph:
    """A `MetaGraphDef` with its subgraphs.

    Attributes:
        meta: The message.
        signatures: Name to signature, without the one that initializes.
    """

    def __init__(self, meta: MetaGraphDef) -> None:
        """Store the message; subgraphs are found when they are needed."""
        self.meta = meta
        self.signatures: Mapping[str, SignatureDef] = {
            name: signature for name, signature in sorted(meta.signature_def.items()) if name != INITIALIZER
        }

    @cached_property
    def arguments(self) -> dict[str, list[str]]:
        """Function to the names of its arguments."""
        library = self.meta.graph_def.library.function
        return {f.signature.name: [arg.name for arg in f.signature.input_arg] for f in library}

    @cached_property
    def answering(self) -> Mapping[str, Subgraph]:
        """Signature to the subgraph of its outputs."""
        return {
            name: self._reach(t for info in signature.outputs.values() for t in tensors_of(info))
            for name, signature in self.signatures.items()
        }

    @cached_property
    def initializing(self) -> Subgraph:
        """The subgraph that runs once, after a server has loaded the variables."""
        meta = self.meta
        names: list[str] = []
        if INITIALIZER in meta.signature_def:  # looking up a missing name in a message's map would add it
            names += [info.name for info in meta.signature_def[INITIALIZER].outputs.values()]
        for collection in _INITIALIZERS:
            if collection in meta.collection_def:
                names += meta.collection_def[collection].node_list.value
        return self._reach(names)

    @cached_property
    def restoring(self) -> Subgraph:
        """The subgraph that restores the variables."""
        return self._reach([self.meta.saver_def.restore_op_name])

    @cached_property
    def saving(self) -> Subgraph:
        """The subgraph that would save the variables; TensorFlow leaves it in each SavedModel."""
        return self._reach([self.meta.saver_def.save_tensor_name])

    @cached_property
    def restored(self) -> Mapping[str, tuple[str, ...]]:
        """Tensor of the bundle to the names of the variables that it is restored into."""
        return {
            key: tuple(sorted(names)) for key, names in _find_restored(self.restoring, self.arguments).items()
        }

    def nodes(self) -> Iterator[tuple[Place, NodeDef]]:
        """Every node of the graph and of its functions, reached or not."""
        graph = self.meta.graph_def
        yield from ((Place("", node.name), node) for node in graph.node)
        for function in graph.library.function:
            yield from ((Place(function.signature.name, node.name), node) for node in function.node_def)

    def functions_below(self, names: Iterable[str]) -> set[str]:
        """The named functions of the library and those that they call, directly or indirectly."""
        bodies = {f.signature.name: f.node_def for f in self.meta.graph_def.library.function}
        queue = [name for name in dict.fromkeys(names) if name in bodies]
        for name in queue:
            called = (called for node in bodies[name] for called in called_functions(node))
            queue += [c for c in dict.fromkeys(called) if c in bodies and c not in queue]
        return set(queue)

    def origins(self, subgraph: Subgraph, place: Place, tensor: str) -> set[Place]:
        """The nodes of a subgraph that make a tensor.

        Args:
            subgraph: The subgraph to search.
            place: The node that takes the tensor.
            tensor: The tensor's name in that node's input.
        """
        return find_origins(subgraph, self.arguments, place.function, tensor)

    def _reach(self, names: Iterable[str]) -> Subgraph:
        return reach(self.meta.graph_def, [name for name in names if name], is_stateful)


def read_meta_graphs(path: Path) -> list[MetaGraphDef]:
    """Every graph of a `saved_model.pb`, as tensorboard's messages: no TensorFlow is imported.

    Raises:
        CheckpointCorrupt: The file is damaged.
    """
    return parse_meta_graphs(path.read_bytes(), path)


def parse_meta_graphs(content: bytes, path: str | Path) -> list[MetaGraphDef]:
    """Every graph of a `saved_model.pb`, from the file's content.

    Args:
        content: The content.
        path: The name of the file in messages.

    Raises:
        CheckpointCorrupt: The content is damaged.
    """
    from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

    try:
        parsed = parse_message(SavedModel, content)
        return [MetaGraphDef.FromString(graph.SerializeToString()) for graph in parsed.meta_graphs]
    except (MalformedError, DecodeError) as err:
        raise MalformedError("a SavedModel", "bytes that cannot be parsed").found_in(path) from err


def is_stateful(op: str) -> bool:
    """Whether a type of operation is stateful by its definition; False for an unknown type."""
    form = read_releases().newest(op)
    return form is not None and form.stateful


def tensors_of(info: TensorInfo) -> Iterator[str]:
    """The names of the tensors that make up one input or output of a signature."""
    kind = info.WhichOneof("encoding")
    if kind == "coo_sparse":
        sparse = info.coo_sparse
        yield from (sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name)
    elif kind == "composite_tensor":
        for component in info.composite_tensor.components:
            yield from tensors_of(component)
    else:
        yield info.name


def _find_restored(restoring: Subgraph, arguments: dict[str, list[str]]) -> dict[str, set[str]]:
    """Tensor of the bundle to the shared names of the variables that it is assigned to."""
    restored: dict[str, set[str]] = {}
    for place, node in restoring.nodes.items():
        if node.op == "RestoreV2":
            for name in _names(restoring, place, node.input[1]):
                restored.setdefault(name, set())
    for place, node in restoring.nodes.items():
        if node.op in _ASSIGNMENTS:
            variables = find_origins(restoring, arguments, place.function, node.input[0])
            for key in _restored_keys(restoring, place.function, node.input[1]):
                restored.setdefault(key, set()).update(_shared_names(restoring, variables))
    return restored


def _names(restoring: Subgraph, place: Place, tensor: str) -> list[str]:
    node = restoring.nodes.get(Place(place.function, node_name(tensor)))
    return [text.decode() for text in node.attr["value"].tensor.string_val] if node is not None else []


def _restored_keys(restoring: Subgraph, function: str, tensor: str) -> Iterator[str]:
    """The key that a tensor was restored from: an output of RestoreV2, which may be copied or cast."""
    while True:
        place = Place(function, node_name(tensor))
        node = restoring.nodes.get(place)
        if node is None:
            return
        if node.op == "RestoreV2":
            number = tensor.rpartition(":")[2] if ":" in tensor else "0"
            yield _names(restoring, place, node.input[1])[int(number)]
            return
        if node.op not in ("Identity", "Cast") or not node.input:
            return
        tensor = node.input[0]


def _shared_names(restoring: Subgraph, variables: set[Place]) -> Iterator[str]:
    for place in variables:
        node = restoring.nodes[place]
        if node.op in _VARIABLES:
            yield node.attr["shared_name"].s.decode() or node.name
