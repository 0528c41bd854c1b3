"""Find each served variable's value in a checkpoint, by name; leave no doubt about any tensor."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

from tasks.checkpoint.entries import TensorEntry
from tasks.checkpoint.roles import Role
from tasks.errors import CheckpointMismatch
from tasks.export.ledger import Dropped, Ledger, Served

__all__ = ["map_variables"]


def map_variables(
    variables: Mapping[str, Any],
    keys: Mapping[str, str],
    roles: Mapping[str, Role],
    entries: Mapping[str, TensorEntry],
    training_only: Iterable[str] = (),
) -> Ledger:
    """Give every served variable its source, and every other tensor the rule that drops it.

    Args:
        variables: Name to `tf.Variable` of the network drawn for serving.
        keys: Name to checkpoint key of the weights that may be served.
        roles: What each tensor of the checkpoint is there for.
        entries: The checkpoint's tensors.
        training_only: Patterns of variables that training has and serving has not.

    Returns:
        The restore ledger.

    Raises:
        CheckpointMismatch: A served variable has no source, or one of another shape or
            dtype; or weights of the checkpoint are claimed by no served variable.
    """
    served = tuple(_source(name, variables[name], keys, entries) for name in sorted(variables))
    claimed = {entry.key for entry in served}
    unclaimed = {name: key for name, key in keys.items() if key not in claimed}
    _demand_explained(unclaimed, training_only)
    by_rule = {key: "training only" for key in unclaimed.values()}
    dropped = tuple(
        Dropped(key=key, rule=by_rule.get(key, str(roles[key])))
        for key in sorted(entries)
        if key not in claimed
    )
    return Ledger(served=served, dropped=dropped)


def _source(name: str, variable: Any, keys: Mapping[str, str], entries: Mapping[str, TensorEntry]) -> Served:
    if name not in keys:
        close = difflib.get_close_matches(name, keys, n=3, cutoff=0.4)
        raise CheckpointMismatch(
            f"served variable {name!r}: expected its value in the checkpoint, got none; the nearest names"
            f" are {', '.join(close) or 'none'}. Give the layer the name it was trained under."
        )
    entry = entries[keys[name]]
    shape, dtype = tuple(variable.shape), variable.dtype.name
    if (shape, dtype) != (entry.shape, entry.dtype):
        raise CheckpointMismatch(
            f"served variable {name!r}: expected {dtype} {list(shape)}, got {entry.dtype}"
            f" {list(entry.shape)} under {entry.key!r}. Export with the definition that trained it."
        )
    return Served(variable=name, key=entry.key, dtype=dtype, shape=shape)


def _demand_explained(unclaimed: Mapping[str, str], training_only: Iterable[str]) -> None:
    patterns = tuple(training_only)
    unexplained = [n for n in sorted(unclaimed) if not any(fnmatch.fnmatchcase(n, p) for p in patterns)]
    if unexplained:
        raise CheckpointMismatch(
            f"the checkpoint holds weights that no served variable takes: {', '.join(unexplained[:5])}"
            f"{' …' if len(unexplained) > 5 else ''} ({len(unexplained)} in all). Serve them, or name them"
            " in the definition's training_only."
        )
