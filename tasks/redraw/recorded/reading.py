"""Read a recorded graph without running any of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from redraw.errors import CheckpointCorrupt, CheckpointNotFound
from redraw.recorded.files import SAVED_MODEL, TEXT_NAMES, most_bytes
from redraw.recorded.graph import Graph
from redraw.recorded.sound import demand_sound
from redraw.storage.opening import read_uri
from redraw.uri import Uri

_SERVE = "serve"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recorded graph.

    Attributes:
        uri: Its file.
        digest: SHA-256 of the file, in hex.
        meta_graph: A `MetaGraphDef`; of a `graph.pbtxt` only its graph, of a SavedModel the one to serve.
    """

    uri: Uri
    digest: str
    meta_graph: Any

    @property
    def made_by(self) -> str:
        """The version of TensorFlow that recorded it, if it is stated."""
        version = self.meta_graph.meta_info_def.tensorflow_version
        return f"TensorFlow {version}" if version else "an unknown version of TensorFlow"

    @property
    def is_saved_model(self) -> bool:
        """Whether it is the graph of a SavedModel, which has signatures."""
        return self.uri.name == SAVED_MODEL


def read_recording(uri: str, digest: str | None = None) -> Recording:
    """Read a recorded graph: a `MetaGraphDef`, a `GraphDef` as text, or that of a SavedModel.

    Args:
        uri: The file, local or in a bucket.
        digest: The SHA-256 that it has to have, in hex; None for any.

    Returns:
        The recording, without running any of it.

    Raises:
        CheckpointNotFound: There is no such file.
        CheckpointCorrupt: It is too large, truncated, not a graph, or does not match the digest.
        InvalidDefinition: It is a graph that no program records.
    """
    place = Uri(uri)
    most = most_bytes(place.name)
    content = read_uri(place, most + 1)
    if content is None:
        raise CheckpointNotFound(f"{place}: expected a recorded graph, found no such file. Correct the URI.")
    if len(content) > most:
        raise CheckpointCorrupt(
            f"{place}: expected a recorded graph of at most {most} bytes, got more. Name the .meta file of"
            " a checkpoint, which holds no weights."
        )
    actual = hashlib.sha256(content).hexdigest()
    if digest is not None and actual != digest:
        raise CheckpointCorrupt(
            f"{place}: expected the recorded graph with digest {digest:.12}… of the definition, got"
            f" {actual:.12}…. The file was replaced. Draft the definition again, or restore the file from"
            " which it was drafted."
        )
    meta_graph = _parsed(place, content)
    if not meta_graph.graph_def.node:
        raise CheckpointCorrupt(
            f"{place}: expected a MetaGraphDef or a GraphDef with operations, got {len(content)} bytes"
            " without operations. Name the .meta file next to a checkpoint, or graph.pbtxt."
        )
    functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
    demand_sound(Graph(meta_graph.graph_def.node, functions, str(place)))
    return Recording(uri=place, digest=actual, meta_graph=meta_graph)


def _parsed(place: Uri, content: bytes) -> Any:
    meta_graph = meta_graph_pb2.MetaGraphDef()
    try:
        if place.name == SAVED_MODEL:
            return _to_serve(place, saved_model_pb2.SavedModel.FromString(content))
        if not place.name.endswith(TEXT_NAMES):
            meta_graph.ParseFromString(content)
            return meta_graph
        text = content.decode()
        if text.lstrip().startswith(("meta_info_def", "graph_def")):
            return text_format.Parse(text, meta_graph)
        text_format.Parse(text, meta_graph.graph_def)
    except (DecodeError, text_format.ParseError, UnicodeDecodeError, RecursionError) as err:
        raise CheckpointCorrupt(
            f"{place}: expected a complete MetaGraphDef (.meta), GraphDef (graph.pbtxt) or {SAVED_MODEL}, got"
            f" {type(err).__name__} ({str(err)[:120]}). Copy the file again."
        ) from err
    return meta_graph


def _to_serve(place: Uri, saved_model: Any) -> Any:
    """The graph of a SavedModel with the tag `serve`, or its only one."""
    graphs = saved_model.meta_graphs
    tagged = [graph for graph in graphs if _SERVE in graph.meta_info_def.tags]
    if len(tagged) != 1 and len(graphs) != 1:
        tags = "; ".join(", ".join(graph.meta_info_def.tags) for graph in graphs) or "no graph"
        raise CheckpointCorrupt(
            f"{place}: expected one graph with the tag {_SERVE!r}, got {tags}. Save the model with this tag."
        )
    return (tagged or graphs)[0]
