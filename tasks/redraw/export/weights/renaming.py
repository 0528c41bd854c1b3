"""Names that differ: the definition's rename table, and counters that Keras puts behind names."""

from __future__ import annotations

import re

__all__ = ["Renames", "of_same_layer", "of_same_name", "rename"]

# What `redraw.checkpoint.formats.hdf5_graph` says of a file without layers' names.
_UNNAMED = "vars"
_COUNTER = re.compile(r"_\d+$")

Renames = tuple[tuple[str | re.Pattern[str], str], ...]


def rename(name: str, renames: Renames) -> str | None:
    r"""What a variable is called in the checkpoint.

    Args:
        name: The served variable.
        renames: Pairs of the served name and the checkpoint's: strings as they are, or a
            compiled pattern that has to match the whole name and a template for it (`\1`).

    Returns:
        The name there by the first pair that fits; None if none does.
    """
    for served, stored in renames:
        if isinstance(served, str):
            if served == name:
                return stored
            continue
        found = served.fullmatch(name)
        if found is not None:
            return found.expand(stored)
    return None


def of_same_name(name: str, stored: str) -> bool:
    """Whether two names differ at most by counters (`dense_3`) and by what stands before them."""
    ours, theirs = _without_counters(name), _without_counters(stored)
    length = min(len(ours), len(theirs))
    return ours[-length:] == theirs[-length:]


def of_same_layer(name: str, stored: str) -> bool:
    """Whether a variable is of the layer that a file names with its number: `hidden/0`."""
    ours, theirs = _without_counters(name), _without_counters(stored)
    return len(ours) < 2 or theirs[-2] == _UNNAMED or ours[-2] == theirs[-2]


def _without_counters(name: str) -> list[str]:
    return [_COUNTER.sub("", part) for part in name.split("/")]
