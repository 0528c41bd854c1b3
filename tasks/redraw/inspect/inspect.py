"""Describe a checkpoint or a SavedModel from its files.

Only checkpoints of TF1's Saver V1 and graphs recorded next to a checkpoint need TensorFlow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from redraw.checkpoint.bundle.dtypes import dtype_name
from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import TensorEntry, decode_text
from redraw.checkpoint.bundle.messages import SavedModel, parse_message
from redraw.checkpoint.catalogue.bare import find_step
from redraw.checkpoint.formats.bundle import BundleSource
from redraw.checkpoint.formats.locate import locate_checkpoint
from redraw.checkpoint.formats.source import CheckpointSource, open_checkpoint
from redraw.checkpoint.objects.roles import Role, classify_tensors
from redraw.errors import CheckpointCorrupt, CheckpointError, CheckpointNotFound, InvalidDefinition
from redraw.records import Signature, TensorSpec
from redraw.records.results import (
    CheckpointDescription,
    FoundRecording,
    SavedModelDescription,
    TensorDescription,
)
from redraw.requests import InspectRequest
from redraw.storage.opening import open_storage, read_uri
from redraw.uri import Uri

_LISTED = 8
_INDEX = ".index"
GRAPH_FILE = "saved_model.pb"
_VARIABLES = "variables/"
# TensorFlow stores the operation that initializes a model as a signature that is never called.
_INITIALIZER = "__saved_model_init_op"
_SERVE = "serve"
# The offset that TensorFlow adds to a dtype's number for a reference.
_REFERENCE = 100
# A graph without the weights takes a few MB, with large constants some hundreds.
_LARGEST_GRAPH = 512 << 20


def inspect_uri(request: InspectRequest) -> CheckpointDescription | SavedModelDescription:
    """Describe a checkpoint or a SavedModel; the files tell which one it is.

    Args:
        request: The folder of either, or a checkpoint's file or prefix, local or in a bucket. From
            a bucket only the graph and the indexes are read, and no weights.

    Returns:
        The tensors of a checkpoint, or the signatures, variables and operations of a
        SavedModel.

    Raises:
        CheckpointNotFound: There is neither, or the folder has several checkpoints.
        CheckpointCorrupt: A file is missing, truncated or altered.
        StorageError: The bucket cannot be read.
    """
    uri = request.uri
    if not _is_saved_model(uri):
        description = describe_checkpoint(open_checkpoint(uri, request.step), uri)
        return replace(description, recording=_find_recorded_graph(uri, request.step))
    return describe_saved_model(uri, uri)


def _is_saved_model(uri: Uri) -> bool:
    if uri.is_bucket:
        return any(item.name == GRAPH_FILE for item in open_storage(uri).list(GRAPH_FILE))
    return (Path(uri) / GRAPH_FILE).is_file()


def _find_recorded_graph(uri: Uri, step: int | None) -> FoundRecording | None:
    """Look for a `.meta` of the checkpoint or a `graph.pbtxt` in its folder; imports TensorFlow if found."""
    located = locate_checkpoint(uri, step)
    places = (located.uri.with_ending(".meta"), located.folder.uri_of("graph.pbtxt"))
    place = next((place for place in places if read_uri(place, 1) is not None), None)
    return None if place is None else _describe_recording(place)


def _describe_recording(place: Uri) -> FoundRecording:
    from redraw.definition.quiet import quiet_import

    with quiet_import():
        from redraw.recorded.reading import read_recording
        from redraw.recorded.redrawing import open_graph
        from redraw.recorded.roles import find_roles

    command = f"redraw draft {place}"
    try:
        graph = open_graph(read_recording(place))
        roles = find_roles(graph)
    except (CheckpointError, InvalidDefinition) as err:
        return FoundRecording(uri=place, command=command, problem=str(err))
    ranked = sorted(roles.outputs, key=lambda output: -output.rank)
    return FoundRecording(
        uri=place,
        command=command,
        operations=len(graph.nodes),
        sources=_listed(f"{source.tensor}: {source.role}, {source.evidence}" for source in roles.sources),
        outputs=_listed(f"{output.tensor}: {output.evidence}" for output in ranked),
    )


def _listed(texts: Iterable[str]) -> tuple[str, ...]:
    lines = list(texts)
    more = len(lines) - _LISTED
    return (*lines[:_LISTED], *([f"and {more} more"] if more > 0 else ()))


def describe_checkpoint(source: CheckpointSource, uri: Uri) -> CheckpointDescription:
    """Describe a checkpoint.

    Returns:
        Its tensors by key, the format, the step (None if neither a variable nor the name tells),
        and the size of all files.

    Raises:
        CheckpointCorrupt: A file is missing, or the index, the object graph or the step is truncated
            or altered.
    """
    _demand_all_files(source)
    return CheckpointDescription(
        uri=uri,
        format=source.format,
        step=find_step(source),
        shards=sum(not file.name.endswith(_INDEX) for file in source.files),
        size_bytes=sum(file.size for file in source.files),
        tensors=describe_tensors(source.entries, classify_tensors(source.entries, source.graph)),
    )


def describe_tensors(
    entries: Mapping[str, TensorEntry], roles: Mapping[str, Role]
) -> tuple[TensorDescription, ...]:
    """Describe the tensors that `roles` names, by key."""
    return tuple(
        TensorDescription(
            key=key,
            dtype=entries[key].dtype,
            shape=entries[key].shape,
            size_bytes=entries[key].size,
            role=roles[key].value,
        )
        for key in sorted(roles)
    )


def _demand_all_files(source: CheckpointSource) -> None:
    if not isinstance(source, BundleSource):
        return
    names = {file.name for file in source.files}
    for name in source.file_names:
        if name not in names:
            raise CheckpointCorrupt(
                f"checkpoint {source.uri}: expected {name}, found no such file. Copy all files of the"
                " checkpoint, or choose another checkpoint."
            )


def describe_saved_model(uri: Uri, called: Uri) -> SavedModelDescription:
    """Describe a SavedModel; if it has several graphs, the one with the tag `serve`.

    It reads the variables' index and object graph, and no values.

    Args:
        uri: Its folder, local or in a bucket.
        called: The URI to put into the description.

    Returns:
        Tags, signatures, variables (none without a `variables/` folder), the number of operations of
        each kind in the graph and its functions, and the size of all files.

    Raises:
        CheckpointNotFound: `saved_model.pb` or the variables' index is missing.
        CheckpointCorrupt: `saved_model.pb` or the variables are damaged.
        StorageError: The bucket cannot be read.
    """
    storage = open_storage(uri)
    files, path = list(storage.walk()), f"{uri}/{GRAPH_FILE}"
    content = storage.read(GRAPH_FILE, _LARGEST_GRAPH)
    if content is None:
        raise CheckpointNotFound(
            f"{uri}: expected {GRAPH_FILE}, which was removed in the meantime. Correct the URI."
        )
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
    # Definitions cannot have such tensors in signatures, so they are only named.
    if info.HasField("composite_tensor"):
        return TensorSpec(dtype="composite tensor", shape=())
    # A signature may have a reference variable of TF1 as input.
    dtype = dtype_name(info.dtype % _REFERENCE)
    if info.dtype > _REFERENCE and dtype is not None:
        dtype = f"reference of {dtype}"
    if dtype is None:
        raise MalformedError("a TensorFlow dtype", f"dtype number {info.dtype}").found_in(path, where)
    if info.tensor_shape.unknown_rank:
        return TensorSpec(dtype=f"{dtype} of unknown rank", shape=())
    sizes = (int(dim.size) for dim in info.tensor_shape.dim)
    shape = tuple(None if size < 0 else size for size in sizes)
    return TensorSpec(dtype=f"sparse {dtype}" if info.HasField("coo_sparse") else dtype, shape=shape)


def _variables(uri: str) -> tuple[TensorDescription, ...]:
    source = open_checkpoint(f"{uri}/{_VARIABLES}variables")
    roles = classify_tensors(source.entries, source.graph)
    served_roles = {key: role for key, role in roles.items() if role is not Role.OBJECT_GRAPH}
    return describe_tensors(source.entries, served_roles)


def _operations(graph: Any) -> dict[str, int]:
    nodes = [graph.graph_def.node, *(function.node_def for function in graph.graph_def.library.function)]
    counts = Counter(decode_text(node.op) for group in nodes for node in group)
    return dict(sorted(counts.items()))
