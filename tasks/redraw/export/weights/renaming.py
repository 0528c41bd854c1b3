"""Names that differ: the rename table, Keras' counters behind names, and its orders of layers in files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from redraw.checkpoint.formats.source import CheckpointSource

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


def layer_order(source: CheckpointSource) -> dict[str, str]:
    """The keys of a file of Keras 2, by the number of their layer and their own there."""
    rows = getattr(source, "layer_order", ())
    keys = {f"{n}/{m}": key for n, row in enumerate(rows) for m, key in enumerate(row)}
    return keys if set(keys.values()) <= set(source.entries) else {}


def pair_by_name(
    names: Mapping[str, str], stored: Mapping[str, str], agree: Callable[[str, str], bool]
) -> dict[str, str]:
    """Pair the variables of each layer with those of a file whose order there is another one.

    Keras 2 lists what a layer trains first, and which of its parts it trained may have changed. Names that
    agree with one another's alone are paired in their order, which says nothing of other names.

    Args:
        names: Place to the name of a variable.
        stored: Place to the name that the file has there; the same places.
        agree: Whether a variable may be one of the file.

    Returns:
        Place of a variable to that in the file; those without a partner are absent.
    """
    found: dict[str, str] = {}
    for ours, theirs in zip(_rows(names), _rows(stored), strict=True):
        for mine, others in _groups(ours, theirs, lambda a, b: agree(names[a], stored[b])):
            found |= dict(zip(mine, others, strict=False)) if len(mine) == len(others) else {}
    return found


def _rows(places: Iterable[str]) -> list[list[str]]:
    """Places in their order, those of each layer apart."""
    rows: dict[int, list[str]] = {}
    for row, place in sorted(tuple(map(int, place.split("/"))) for place in places):
        rows.setdefault(row, []).append(f"{row}/{place}")
    return list(rows.values())


def _groups(
    ours: Sequence[str], theirs: Sequence[str], agree: Callable[[str, str], bool]
) -> Iterator[tuple[list[str], list[str]]]:
    """What is connected by names that agree, each side in its order."""
    groups: list[tuple[set[str], set[str]]] = []
    for place in ours:
        mine, partners = {place}, {other for other in theirs if agree(place, other)}
        for group in [group for group in groups if group[1] & partners]:
            groups.remove(group)
            mine, partners = mine | group[0], partners | group[1]
        groups.append((mine, partners))
    for mine, partners in groups:
        yield [place for place in ours if place in mine], [place for place in theirs if place in partners]


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
