"""Names that differ: the definition's rename table, and counters that Keras puts behind names."""

from __future__ import annotations

import re
from functools import lru_cache

# What `redraw.checkpoint.formats.hdf5_graph` says of a file without layers' names.
_UNNAMED = "vars"
_COUNTER = re.compile(r"_\d+$")
# What Keras 2 calls a layer's own kernel.
_RENAMED = {"depthwise_kernel": "kernel"}

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
    """Whether two names differ at most by counters (`dense_3`), and by layers that only one of them names."""
    ours, theirs = _without_counters(name), _without_counters(stored)
    shorter, longer = sorted((ours, theirs), key=len)
    rest = iter(longer)
    # A wrapper of Keras 2 names its layer's weights as its own: `in_time/kernel`, not `in_time/dense/kernel`.
    return ours[-1] == theirs[-1] and (
        shorter == longer[-len(shorter) :] or all(part in rest for part in shorter)
    )


def of_same_layer(name: str, stored: str) -> bool:
    """Whether a variable is of the layer that a file names with its number: `hidden/0`."""
    ours, theirs = _without_counters(name), _without_counters(stored)
    return len(ours) < 2 or theirs[-2] == _UNNAMED or ours[-2] == theirs[-2]


def split_counters(name: str) -> tuple[str, list[int]]:
    """A name without its counters, and these, 0 for none."""
    counters = [_COUNTER.search(part) for part in name.split("/")]
    return "/".join(_without_counters(name)), [int(found[0][1:]) if found else 0 for found in counters]


@lru_cache(1 << 14)
def _without_counters(name: str) -> tuple[str, ...]:
    # Of a layer for going backwards that Bidirectional is given, only Keras 2 changes the name.
    parts = [_COUNTER.sub("", part).removeprefix("backward_") for part in name.split("/")]
    return (*parts[:-1], _RENAMED.get(parts[-1], parts[-1]))
