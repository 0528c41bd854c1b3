"""Show what a checkpoint or a SavedModel holds, read from its files.

Only a checkpoint of TF1's Saver V1, and a graph recorded next to a checkpoint, need TensorFlow for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from redraw.checkpoint.formats.locate import locate_checkpoint
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.errors import CheckpointError, InvalidDefinition
from redraw.inspect.checkpoint import describe_checkpoint
from redraw.inspect.saved_model import GRAPH_FILE, describe_saved_model
from redraw.records.results import CheckpointDescription, FoundRecording, SavedModelDescription
from redraw.requests import InspectRequest
from redraw.storage.opening import open_storage, read_uri
from redraw.uri import Uri

_LISTED = 8


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
        return replace(described, recording=_find_recorded_graph(uri, request.step))
    return describe_saved_model(uri, uri)


def _is_saved_model(uri: Uri) -> bool:
    if uri.is_bucket:
        return any(item.name == GRAPH_FILE for item in open_storage(uri).list(GRAPH_FILE))
    return (Path(uri) / GRAPH_FILE).is_file()


def _find_recorded_graph(uri: Uri, step: int | None) -> FoundRecording | None:
    """Look for a `.meta` of the checkpoint, or a `graph.pbtxt` in its folder; only one imports TensorFlow."""
    located = locate_checkpoint(uri, step)
    places = (located.uri.with_ending(".meta"), located.folder.uri_of("graph.pbtxt"))
    place = next((place for place in places if read_uri(place, 1) is not None), None)
    return None if place is None else _described(place)


def _described(place: Uri) -> FoundRecording:
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
        sources=_listed(f"{one.tensor}: {one.role}, {one.evidence}" for one in roles.sources),
        outputs=_listed(f"{one.tensor}: {one.evidence}" for one in ranked),
    )


def _listed(texts: Iterable[str]) -> tuple[str, ...]:
    found = list(texts)
    more = len(found) - _LISTED
    return (*found[:_LISTED], *([f"and {more} more"] if more > 0 else ()))
