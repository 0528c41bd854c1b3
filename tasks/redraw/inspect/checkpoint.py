"""Describe a checkpoint: its step, and each tensor with its size and role."""

from __future__ import annotations

from collections.abc import Mapping

from redraw.checkpoint.bundle.entries import TensorEntry
from redraw.checkpoint.catalogue.bare import find_step
from redraw.checkpoint.formats.bundle import BundleSource
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.checkpoint.objects.object_graph import Role, classify_tensors
from redraw.errors import CheckpointCorrupt
from redraw.records.results import CheckpointDescription, TensorDescription
from redraw.uri import Uri

_INDEX = ".index"


def describe_checkpoint(source: CheckpointSource, uri: Uri) -> CheckpointDescription:
    """Describe a checkpoint.

    Returns:
        Its tensors by key, the format, the step (None where neither a variable nor the
        name tells), and the size of all files.

    Raises:
        CheckpointCorrupt: A file is missing, truncated or altered, as far as it is read:
            the index, the object graph and the step.
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
    found = {file.name for file in source.files}
    for name in source.file_names:
        if name not in found:
            raise CheckpointCorrupt(
                f"checkpoint {source.uri}: expected {name}, found no such file."
                " Copy all files of the checkpoint, or choose another one."
            )
