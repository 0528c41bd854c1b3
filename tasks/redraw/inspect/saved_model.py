"""Describe a SavedModel: its signatures, variables and operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from redraw.checkpoint.bundle.dtypes import dtype_name
from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import decode_text
from redraw.checkpoint.bundle.messages import SavedModel, parse_message
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.checkpoint.objects.object_graph import Role, classify_tensors
from redraw.errors import CheckpointNotFound
from redraw.inspect.checkpoint import describe_tensors
from redraw.records import Signature, TensorSpec
from redraw.records.results import SavedModelDescription, TensorDescription
from redraw.storage.opening import open_storage
from redraw.uri import Uri

GRAPH_FILE = "saved_model.pb"
_VARIABLES = "variables/"
# TensorFlow keeps the operation that initializes a model as a signature that nobody calls.
_INITIALIZER = "__saved_model_init_op"
_SERVE = "serve"
# What TensorFlow adds to a dtype's number for a reference.
_REFERENCE = 100

# A graph without the weights takes a few MB, with large constants some hundreds.
_LARGEST_GRAPH = 512 << 20


def describe_saved_model(uri: Uri, called: Uri) -> SavedModelDescription:
    """Describe a SavedModel, of several graphs the one with the tag `serve`.

    Of the variables' data only their object graph is read.

    Args:
        uri: Its folder, local or in a bucket.
        called: What the user calls it.

    Returns:
        Tags, signatures, variables (none where it has no `variables/`), the number of
        operations of each kind in the graph and its functions, and the size of all files.

    Raises:
        CheckpointNotFound: `saved_model.pb` or the variables' index is gone.
        CheckpointCorrupt: `saved_model.pb` or the variables are damaged.
        StorageError: The bucket cannot be read.
    """
    storage = open_storage(uri)
    files, path = list(storage.walk()), f"{uri}/{GRAPH_FILE}"
    content = storage.read(GRAPH_FILE, _LARGEST_GRAPH)
    if content is None:
        raise CheckpointNotFound(f"{uri}: expected {GRAPH_FILE}, got none any more. Check the URI.")
    try:
        graph = _serving_graph(parse_message(SavedModel, content))
    except MalformedError as err:
        raise err.found_in(path) from err
    return SavedModelDescription(
        uri=called,
        tags=tuple(decode_text(tag) for tag in graph.meta_info_def.tags),
        signatures=_signatures(graph, path),
        variables=_variables(uri) if any(file.name.startswith(_VARIABLES) for file in files) else (),
        operations=_operations(graph),
        size_bytes=sum(file.size for file in files),
    )


def _serving_graph(saved_model: Any) -> Any:
    graphs = list(saved_model.meta_graphs)
    if not graphs:
        raise MalformedError("a SavedModel with a graph", "none")
    tagged = (graph for graph in graphs if _SERVE.encode() in graph.meta_info_def.tags)
    return next(tagged, graphs[0])


def _signatures(graph: Any, path: str) -> Mapping[str, Signature]:
    signatures = {decode_text(entry.key): entry.value for entry in graph.signature_def}
    return {
        name: Signature(
            inputs=_tensors(signature.inputs, f"signature {name!r}, input", path),
            outputs=_tensors(signature.outputs, f"signature {name!r}, output", path),
        )
        for name, signature in sorted(signatures.items())
        if name != _INITIALIZER
    }


def _tensors(entries: Iterable[Any], where: str, path: str) -> dict[str, TensorSpec]:
    described = {decode_text(entry.key): entry.value for entry in entries}
    return {name: _spec(info, f"{where} {name!r}", path) for name, info in sorted(described.items())}


def _spec(info: Any, where: str, path: str) -> TensorSpec:
    # Such tensors fit no signature of a definition, and are shown as what they are.
    if info.HasField("composite_tensor"):
        return TensorSpec(dtype="composite tensor", shape=())
    # TF1's reference variables, which a signature could have for an input.
    dtype = dtype_name(info.dtype % _REFERENCE)
    if info.dtype > _REFERENCE and dtype is not None:
        dtype = f"reference of {dtype}"
    if dtype is None:
        raise MalformedError("a dtype of TensorFlow", f"number {info.dtype}").found_in(path, where)
    if info.tensor_shape.unknown_rank:
        return TensorSpec(dtype=f"{dtype} of unknown rank", shape=())
    sizes = (int(dim.size) for dim in info.tensor_shape.dim)
    shape = tuple(None if size < 0 else size for size in sizes)
    return TensorSpec(dtype=f"sparse {dtype}" if info.HasField("coo_sparse") else dtype, shape=shape)


def _variables(uri: str) -> tuple[TensorDescription, ...]:
    source = open_checkpoint(f"{uri}/{_VARIABLES}variables")
    roles = classify_tensors(source.entries, source.graph)
    shown = {key: role for key, role in roles.items() if role is not Role.OBJECT_GRAPH}
    return describe_tensors(source.entries, shown)


def _operations(graph: Any) -> dict[str, int]:
    nodes = [graph.graph_def.node, *(function.node_def for function in graph.graph_def.library.function)]
    counts = Counter(decode_text(node.op) for group in nodes for node in group)
    return dict(sorted(counts.items()))
