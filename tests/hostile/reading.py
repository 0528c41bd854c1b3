"""All that Redraw does with a checkpoint before its weights go anywhere."""

from __future__ import annotations

from pathlib import Path

from redraw.checkpoint.catalogue.bare import describe_bare
from redraw.checkpoint.formats.parts import find_joined
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.checkpoint.objects.averages import find_averages
from redraw.checkpoint.objects.object_graph import variables_from
from redraw.checkpoint.objects.structure import variables_by_structure
from redraw.names import ModelName

__all__ = ["read_checkpoint"]


def read_checkpoint(path: Path | str) -> None:
    """Open, describe, verify and read a checkpoint."""
    source = open_checkpoint(path)
    describe_bare(source, ModelName("digits"))
    find_joined(source.entries, {})
    find_averages(source.entries, source.graph)
    if source.graph is not None and source.graph.nodes:
        list(variables_from(source.graph, 0))
        variables_by_structure(source.graph, 0)
    source.verify()
    for key in source.entries:
        source.read_array(key)
