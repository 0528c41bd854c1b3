"""The order in which Keras' `.h5` files list layers and their weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from redraw.checkpoint.formats.source import CheckpointSource
from redraw.export.weights.renaming import split_counters

__all__ = ["count_by_kind", "counted_alike", "layer_order"]


def layer_order(source: CheckpointSource) -> dict[str, str]:
    """The keys of a file of Keras 2, by the number of their layer and their own there."""
    rows = getattr(source, "layer_order", ())
    keys = {f"{n}/{m}": key for n, row in enumerate(rows) for m, key in enumerate(row)}
    return keys if set(keys.values()) <= set(source.entries) else {}


def count_by_kind(names: Mapping[str, str]) -> dict[str, str]:
    """Places counted for each kind of weight: what was trained stands first, and that may have changed."""
    counts, found = Counter[tuple[str, str]](), dict[str, str]()
    for place in sorted(names, key=lambda place: tuple(map(int, place.split("/")))):
        kind = place.partition("/")[0], names[place].rpartition("/")[2]
        found[place] = f"{'/'.join(kind)}/{counts[kind]}"
        counts[kind] += 1
    return found


def counted_alike(pairs: Iterable[tuple[str, str]]) -> bool:
    """Whether the layers of one kind were made in one order: if not, their places say nothing certain."""
    counters: dict[str, list[tuple[list[int], list[int]]]] = {}
    for name, stored in pairs:
        plain, ours = split_counters(name)
        counters.setdefault(plain, []).append((ours, split_counters(stored)[1]))
    return all(map(_in_one_order, counters.values()))


def _in_one_order(pairs: Sequence[tuple[list[int], list[int]]]) -> bool:
    # Only some of the layers may be named with those that they are in.
    common = min(len(counters) for pair in pairs for counters in pair)
    order = [theirs[-common:] for _, theirs in sorted((ours[-common:], theirs) for ours, theirs in pairs)]
    return order == sorted(order)
