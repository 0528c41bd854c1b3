"""Describe a checkpoint: its step, and each tensor with its size and role."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tasks.checkpoint.bundle_reader import TensorBundle
from tasks.checkpoint.object_graph import Role, classify_tensors, read_object_graph
from tasks.errors import CheckpointCorrupt
from tasks.records import CheckpointDescription, TensorDescription

__all__ = ["bundle_size", "describe_checkpoint", "describe_tensors"]

_STEP_IN_NAME = re.compile(r"-(\d+)$")


def describe_checkpoint(prefix: Path, uri: str) -> CheckpointDescription:
    """Describe a checkpoint.

    Args:
        prefix: Its local prefix.
        uri: What the user calls it.

    Returns:
        Its tensors by key, the format, the step (None where neither a variable nor the
        name tells), and the size of all files.

    Raises:
        CheckpointCorrupt: A file is missing, truncated or altered, as far as it is read:
            the index, the object graph and the step.
    """
    bundle = TensorBundle(prefix)
    roles = classify_tensors(bundle.entries, read_object_graph(bundle))
    return CheckpointDescription(
        uri=uri,
        format="tensor_bundle",
        step=_step(bundle, roles),
        shards=bundle.num_shards,
        size_bytes=bundle_size(bundle),
        tensors=describe_tensors(bundle, roles),
    )


def describe_tensors(bundle: TensorBundle, roles: Mapping[str, Role]) -> tuple[TensorDescription, ...]:
    """Describe the tensors that `roles` names, by key."""
    entries = (bundle.entries[key] for key in sorted(roles))
    return tuple(
        TensorDescription(
            key=entry.key,
            dtype=entry.dtype,
            shape=entry.shape,
            size_bytes=entry.size,
            role=roles[entry.key].value,
        )
        for entry in entries
    )


def bundle_size(bundle: TensorBundle) -> int:
    """The bytes of all files of a checkpoint.

    Raises:
        CheckpointCorrupt: A data file is missing.
    """
    size = bundle.index_path.stat().st_size
    for path in bundle.shard_paths:
        if not path.is_file():
            raise CheckpointCorrupt(
                f"checkpoint {bundle.prefix}: expected {path}, found no such file."
                " Copy all files of the checkpoint, or choose another one."
            )
        size += path.stat().st_size
    return size


def _step(bundle: TensorBundle, roles: Mapping[str, Role]) -> int | None:
    for key, role in roles.items():
        entry = bundle.entries[key]
        if role is Role.STEP and entry.shape == () and entry.dtype in {"int32", "int64"}:
            return int(bundle.read_array(key).item())
    named = _STEP_IN_NAME.search(bundle.prefix.name)
    return int(named[1]) if named else None
