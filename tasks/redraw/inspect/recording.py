"""The graph that training recorded next to a checkpoint, and what a draft would make of it."""

from __future__ import annotations

from collections.abc import Iterable

from redraw.checkpoint.formats.locate import locate_checkpoint
from redraw.errors import CheckpointError, InvalidDefinition
from redraw.records.results import FoundRecording
from redraw.storage.opening import read_uri
from redraw.uri import Uri

_LISTED = 8


def find_recorded_graph(uri: Uri, step: int | None) -> FoundRecording | None:
    """Look for a `.meta` of the checkpoint, or a `graph.pbtxt` in its folder; only one imports TensorFlow.

    Args:
        uri: The checkpoint.
        step: Which one of a folder with several.

    Returns:
        Where the graph lies, and where its data and its answers seem to be; None if there is none.
    """
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
