"""The order in which Keras' `.h5` files list layers and their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from redraw.checkpoint.formats.source import CheckpointSource
from redraw.export.weights.renaming import split_counters

__all__ = ["counted_alike", "layer_order", "pair_by_name"]


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
