"""Show what a checkpoint or a SavedModel holds, read from its files.

Only a checkpoint of TF1's Saver V1, and a graph recorded next to a checkpoint, need TensorFlow for it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from redraw.checkpoint.formats.source import open_checkpoint
from redraw.inspect.checkpoint import describe_checkpoint
from redraw.inspect.recording import find_recorded_graph
from redraw.inspect.saved_model import GRAPH_FILE, describe_saved_model
from redraw.records.results import CheckpointDescription, SavedModelDescription
from redraw.requests import InspectRequest
from redraw.storage.opening import open_storage
from redraw.uri import Uri


def inspect_uri(request: InspectRequest) -> CheckpointDescription | SavedModelDescription:
    """Tell by the files whether it is a checkpoint or a SavedModel, and describe it.

    Args:
        request: The folder of either, or a checkpoint's file or prefix; local, or in a
            bucket, of which the graph and the indexes are read, and no weights.

    Returns:
        The tensors of a checkpoint, or the signatures, variables and operations of a
        SavedModel.

    Raises:
        CheckpointNotFound: Neither is there, or the folder holds several checkpoints.
        CheckpointCorrupt: A file is missing, truncated or altered.
        StorageError: The bucket cannot be read.
    """
    uri = request.uri
    if not _is_saved_model(uri):
        described = describe_checkpoint(open_checkpoint(uri, request.step), uri)
        return replace(described, recording=find_recorded_graph(uri, request.step))
    return describe_saved_model(uri, uri)


def _is_saved_model(uri: Uri) -> bool:
    if uri.is_bucket:
        return any(item.name == GRAPH_FILE for item in open_storage(uri).list(GRAPH_FILE))
    return (Path(uri) / GRAPH_FILE).is_file()
