"""Describe a checkpoint that no catalogue knows, from its own files."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import get_args

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.catalogue.saved_at import last_written
from redraw.checkpoint.formats.locate import step_in_name
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.checkpoint.objects.averages import find_averages
from redraw.checkpoint.objects.object_graph import classify_tensors
from redraw.checkpoint.objects.roles import Role
from redraw.errors import short_list
from redraw.names import ModelName
from redraw.records import Checkpoint, CheckpointFormat
from redraw.uri import Uri

logger = logging.getLogger(__name__)

_INTEGERS = {"int32", "int64"}
# The optimizer's own count, by the names that Keras 2 and 3 give it, and its place in a file.
_ITERATIONS = {"iteration", "iter"}
_ITERATION_KEYS = {"optimizer/vars/0", "optimizer/inner_optimizer/vars/0"}


def describe_bare(source: CheckpointSource, model: ModelName) -> Checkpoint:
    """Make the record that the catalogue would hold.

    Args:
        source: The checkpoint.
        model: The model that it is to be of; that it fits is for the mapping to find out.

    Returns:
        The record: the step from the tensors or the name, 0 where neither tells; the time
        from the files; the digest from the tensors.

    Raises:
        CheckpointCorrupt: A tensor cannot be read.
    """
    format_name = next(name for name in get_args(CheckpointFormat) if name == source.format)
    roles = classify_tensors(source.entries, source.graph).values()
    return Checkpoint(
        model=model,
        uri=Uri(source.uri),
        prefix="",
        format=format_name,
        step=find_step(source) or 0,
        trained_at=last_written(source.uri, source.files),
        digest=source.digest(),
        size_bytes=sum(file.size for file in source.files),
        averages=Role.MOVING_AVERAGE in roles
        or bool(find_averages(source.entries, source.graph))
        or _optimizer_keeps_averages(source),
    )


def find_step(source: CheckpointSource) -> int | None:
    """The training step of a checkpoint.

    Returns:
        What its step variable says, else the largest count of its optimizers (one that scales
        losses counts nothing itself), else the number that its name ends with; None where
        nothing tells. What they disagree on is logged.

    Raises:
        CheckpointCorrupt: The variable cannot be read.
    """
    roles = classify_tensors(source.entries, source.graph)
    steps = _counts(source, [key for key, role in roles.items() if role is Role.STEP])
    counts = _counts(source, _iterations(source))
    named = step_in_name(source.uri)
    said = [max(found) for found in (steps.values(), counts.values()) if any(found)]
    said = [*said, *([] if named is None else [named])]
    if len(set(said)) > 1:
        steps_said = [f"{key!r} {count}" for key, count in {**steps, **counts}.items()]
        steps_said += [] if named is None else [f"its name {named}"]
        logger.warning(
            "%s: expected one step, got %s: %d is taken", source.uri, short_list(steps_said, "steps"), said[0]
        )
    return said[0] if said else 0 if steps or counts else None


def _counts(source: CheckpointSource, keys: Iterable[str]) -> dict[str, int]:
    whole = (key for key in keys if source.entries[key].shape == ())
    return {
        key: _step_in(int(source.read_array(key).item()), key, source)
        for key in whole
        if source.entries[key].dtype in _INTEGERS
    }


def _step_in(value: int, key: str, source: CheckpointSource) -> int:
    if value < 0:
        raise MalformedError("a step from 0 on", f"{value}").found_in(source.uri, f"tensor {key!r}")
    return value


def _optimizer_keeps_averages(source: CheckpointSource) -> bool:
    """Whether an archive's optimizer kept averages, as its configuration says."""
    if source.format != "keras":
        return False
    # Brings h5py, which the other formats need not wait for.
    from redraw.checkpoint.formats.archive import ArchiveSource

    optimizer = source.optimizer if isinstance(source, ArchiveSource) else None
    return bool(optimizer and optimizer["config"].get("use_ema"))


def _iterations(source: CheckpointSource) -> list[str]:
    nodes = source.graph.nodes if source.graph is not None else ()
    named = [
        tensor.key
        for node in nodes
        for tensor in node.variables()
        if tensor.full_name.rpartition("/")[2] in _ITERATIONS
    ]
    return [*named, *(key for key in _ITERATION_KEYS if key in source.entries)]
