"""Match names that differ: by the rename table, without Keras' counters, by orders of layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from redraw.checkpoint.formats.source import CheckpointSource

# The name of a layer in `redraw.checkpoint.formats.hdf5_graph` if the file has no names.
_UNNAMED = "vars"
_COUNTER = re.compile(r"_\d+$")
# Keras 3's names of variables to those of Keras 2.
_RENAMED = {"depthwise_kernel": "kernel"}
Renames = tuple[tuple[str | re.Pattern[str], str], ...]


def rename(name: str, renames: Renames) -> str | None:
    r"""The name of a variable in the checkpoint.

    Args:
        name: The served variable.
        renames: Pairs of the served name and the checkpoint's: two strings, or a compiled
            pattern that has to match the whole name and a template for it (`\1`).

    Returns:
        The checkpoint's name by the first pair that matches; None if none does.
    """
    for served_name, saved_name in renames:
        if isinstance(served_name, str):
            if served_name == name:
                return saved_name
            continue
        match = served_name.fullmatch(name)
        if match is not None:
            return match.expand(saved_name)
    return None


def of_same_name(name: str, saved_name: str) -> bool:
    """Whether two names differ only by counters (`dense_3`) and by layers that one of them leaves out."""
    parts, saved_parts = _without_counters(name), _without_counters(saved_name)
    shorter, longer = sorted((parts, saved_parts), key=len)
    rest = iter(longer)
    # A wrapper of Keras 2 leaves out its layer's name: `in_time/kernel`, not `in_time/dense/kernel`.
    return parts[-1] == saved_parts[-1] and (
        shorter == longer[-len(shorter) :] or all(part in rest for part in shorter)
    )


def of_same_layer(name: str, saved_name: str) -> bool:
    """Whether a variable belongs to the layer in a file's name, such as `hidden/0`."""
    parts, saved_parts = _without_counters(name), _without_counters(saved_name)
    return len(parts) < 2 or saved_parts[-2] == _UNNAMED or parts[-2] == saved_parts[-2]


def split_counters(name: str) -> tuple[str, list[int]]:
    """A name without its counters, and the counter of each part, 0 if it has none."""
    counters = [_COUNTER.search(part) for part in name.split("/")]
    return "/".join(_without_counters(name)), [int(match[0][1:]) if match else 0 for match in counters]


@lru_cache(1 << 14)
def _without_counters(name: str) -> tuple[str, ...]:
    # Only Keras 2 renames the backward layer that is passed to Bidirectional.
    parts = [_COUNTER.sub("", part).removeprefix("backward_") for part in name.split("/")]
    return (*parts[:-1], _RENAMED.get(parts[-1], parts[-1]))


def layer_order(source: CheckpointSource) -> dict[str, str]:
    """The keys of a file of Keras 2, by the number of their layer and their number in it."""
    rows = getattr(source, "layer_order", ())
    keys = {f"{n}/{m}": key for n, row in enumerate(rows) for m, key in enumerate(row)}
    return keys if set(keys.values()) <= set(source.entries) else {}


def pair_by_name(
    names: Mapping[str, str], saved_names: Mapping[str, str], agree: Callable[[str, str], bool]
) -> dict[str, str]:
    """Pair the variables of each layer with those of a file that lists them in another order.

    Keras 2 lists a layer's trainable variables first, and which ones are trainable may have changed.
    Variables whose names agree only within a group are paired in their order.

    Args:
        names: Place to the name of a variable.
        saved_names: The same places to the names in the file.
        agree: Whether a variable's name matches one of the file.

    Returns:
        A variable's place to its place in the file; those without a match are absent.
    """
    pairs: dict[str, str] = {}
    for row, saved_row in zip(_rows(names), _rows(saved_names), strict=True):
        for places, saved_places in _groups(row, saved_row, lambda a, b: agree(names[a], saved_names[b])):
            pairs |= dict(zip(places, saved_places, strict=False)) if len(places) == len(saved_places) else {}
    return pairs


def _rows(places: Iterable[str]) -> list[list[str]]:
    """Places in their order, a row for each layer."""
    rows: dict[int, list[str]] = {}
    for row, place in sorted(tuple(map(int, place.split("/"))) for place in places):
        rows.setdefault(row, []).append(f"{row}/{place}")
    return list(rows.values())


def _groups(
    row: Sequence[str], saved_row: Sequence[str], agree: Callable[[str, str], bool]
) -> Iterator[tuple[list[str], list[str]]]:
    """Groups of places that are connected by matching names, each side in its order."""
    groups: list[tuple[set[str], set[str]]] = []
    for place in row:
        places, saved_places = {place}, {other for other in saved_row if agree(place, other)}
        for group in [group for group in groups if group[1] & saved_places]:
            groups.remove(group)
            places, saved_places = places | group[0], saved_places | group[1]
        groups.append((places, saved_places))
    for places, saved_places in groups:
        yield (
            [place for place in row if place in places],
            [place for place in saved_row if place in saved_places],
        )


def counted_alike(pairs: Iterable[tuple[str, str]]) -> bool:
    """Whether the layers of each kind were created in the same order; if not, their places are uncertain."""
    counters: dict[str, list[tuple[list[int], list[int]]]] = {}
    for name, saved_name in pairs:
        plain, numbers = split_counters(name)
        counters.setdefault(plain, []).append((numbers, split_counters(saved_name)[1]))
    return all(map(_in_one_order, counters.values()))


def _in_one_order(pairs: Sequence[tuple[list[int], list[int]]]) -> bool:
    # Only some of the layers may have their parents in the name.
    common = min(len(counters) for pair in pairs for counters in pair)
    order = [saved[-common:] for _, saved in sorted((numbers[-common:], saved) for numbers, saved in pairs)]
    return order == sorted(order)
