"""Describe a recorded graph without TensorFlow: possible inputs, training parts, refused operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

from redraw.checkpoint.formats.source import CheckpointSource
from redraw.errors import CheckpointCorrupt, CheckpointNotFound
from redraw.recorded.files import TEXT_NAMES, most_bytes
from redraw.records.results import Finding, ScannedFiles
from redraw.serving.graph.op_groups import find_group, runs_on_host
from redraw.serving.graph.runtimes.op_lists import read_releases
from redraw.serving.graph.serving_graph import is_stateful
from redraw.storage.opening import read_uri
from redraw.uri import Uri

_SHOWN = 8
_STARTS = {"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"}
_VARIABLES = {"VarHandleOp", "VariableV2", "Variable"}
_BATCH_NORM = {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}
_SAVES = {"SaveV2": 1, "Save": 1, "SaveSlices": 1}


def describe_recording(uri: Uri, checkpoint: CheckpointSource | None = None) -> ScannedFiles:
    """Describe a recorded graph.

    Args:
        uri: A `.meta` or a `graph.pbtxt`.
        checkpoint: The checkpoint next to it; the graph's variables are compared with it.

    Returns:
        The description. Drafting removes operations that only training needs, so they are listed as refused
        only if nothing can remove them.

    Raises:
        CheckpointNotFound: There is no such file.
        CheckpointCorrupt: It is too large, truncated, or no graph.
    """
    meta = _parse(uri)
    graph = meta.graph_def
    functions = {function.signature.name for function in graph.library.function}
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    operations = Counter(node.op for node in nodes)
    version = meta.meta_info_def.tensorflow_version
    return ScannedFiles(
        uri=uri,
        kind="recording",
        made_by=f"TensorFlow {version}" if version else "",
        holds=tuple(_holds(graph, nodes, operations)),
        refused=(*_refused(operations, functions), *_missing_variables(graph, checkpoint)),
    )


def _parse(uri: Uri) -> Any:
    most = most_bytes(uri.name)
    content = read_uri(uri, most + 1)
    if content is None:
        raise CheckpointNotFound(f"{uri}: expected a recorded graph, found no such file. Correct the URI.")
    if len(content) > most:
        raise CheckpointCorrupt(
            f"{uri}: expected a recorded graph of at most {most} bytes, got more. Name another file."
        )
    meta = MetaGraphDef()
    try:
        if not uri.name.endswith(TEXT_NAMES):
            meta.ParseFromString(content)
        elif content.lstrip().startswith((b"meta_info_def", b"graph_def")):
            text_format.Parse(content.decode(), meta, allow_unknown_field=True)
        else:
            meta.graph_def.CopyFrom(text_format.Parse(content.decode(), GraphDef(), allow_unknown_field=True))
    except (DecodeError, text_format.ParseError, UnicodeDecodeError, RecursionError) as err:
        raise CheckpointCorrupt(
            f"{uri}: expected a complete MetaGraphDef (.meta) or GraphDef (graph.pbtxt), got"
            f" {type(err).__name__} ({str(err)[:120]}). Copy the file again."
        ) from err
    if not meta.graph_def.node:
        raise CheckpointCorrupt(
            f"{uri}: expected a recorded graph with operations, got none. Name the .meta file next to a"
            " checkpoint, or graph.pbtxt."
        )
    return meta


def _holds(graph: Any, nodes: list[Any], operations: Counter[str]) -> Iterator[str]:
    yield f"{operations.total()} operations of {len(operations)} kinds"
    starts = [f"{node.name}{_shape(node)}" for node in graph.node if node.op in _STARTS]
    yield from _listed("placeholders", starts)
    yield from _listed("queues and iterators", _of_group(operations, {"queue", "iterator"}))
    yield f"{sum(operations[op] for op in _VARIABLES)} variables"
    training = [
        n for n in nodes if n.op in _BATCH_NORM and ("is_training" not in n.attr or n.attr["is_training"].b)
    ]
    if training:
        yield f"{len(training)} batch normalizations that use the batch's statistics"
    yield from _listed("random operations", _of_group(operations, {"random"}))
    yield from _listed("optimizer", _of_group(operations, {"optimizer"}))
    yield from _listed("tables", [f"{n} {op}" for op, n in operations.items() if "HashTable" in op])
    host = [f"{n} {op}" for op, n in operations.items() if runs_on_host(op) is not None]
    yield from _listed("outside of the graph (dropped before the inputs, refused after them)", host)


def _of_group(operations: Counter[str], names: set[str]) -> list[str]:
    groups = ((op, find_group(op, stateful=is_stateful(op))) for op in operations)
    return [f"{operations[op]} {op}" for op, group in groups if group is not None and group.name in names]


def _listed(what: str, items: list[str]) -> Iterator[str]:
    if items:
        more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
        yield f"{what}: {', '.join(items[:_SHOWN])}{more}"


def _shape(node: Any) -> str:
    shape = node.attr["shape"].shape if "shape" in node.attr else None
    if shape is None or shape.unknown_rank:
        return ""
    return f" [{', '.join('?' if dim.size < 0 else str(dim.size) for dim in shape.dim)}]"


def _refused(operations: Counter[str], functions: set[str]) -> Iterator[Finding]:
    releases = read_releases()
    for op, count in sorted(operations.items()):
        if op not in functions and releases.newest(op) is None:
            yield Finding(
                check="known-ops",
                text=f"{count} {op}: not one of TensorFlow's own operations, refused after the inputs",
            )


def _missing_variables(graph: Any, checkpoint: CheckpointSource | None) -> Iterable[Finding]:
    """The variables that the recording's Saver saves and that the checkpoint lacks."""
    if checkpoint is None:
        return
    missing = sorted(set(_saved(graph)) - set(checkpoint.entries))
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        yield Finding(
            check="CheckpointMismatch",
            text=f"the checkpoint lacks {', '.join(map(repr, missing[:_SHOWN]))}{more} of its recorded"
            " graph: the graph is of another training run",
        )


def _saved(graph: Any) -> Iterator[str]:
    nodes = {node.name: node for node in graph.node}
    for node in graph.node:
        number = _SAVES.get(node.op)
        names = nodes.get(node.input[number]) if number is not None and len(node.input) > number else None
        if names is not None and "value" in names.attr:
            yield from (name.decode(errors="replace") for name in names.attr["value"].tensor.string_val)
