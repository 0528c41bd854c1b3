"""The comparison as boxes and arrows, few enough to read at a glance whatever the graph's size."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from redraw.validate.graph_diff.comparison import Comparison, Part
from redraw.validate.graph_diff.kinds import Kind
from redraw.validate.graph_diff.serving_graph import Tensor

Side = Literal["training", "serving"]

_MOST_LAYERS = 28  # with input, outputs and the kinds about 40 boxes a side
_MOST_TENSORS = 5
_APART = {f":{kind.value}" for kind in Kind}
_ORDER = [f":{kind.value}" for kind in (Kind.LOSS, Kind.GRADIENT, Kind.OPTIMIZER, Kind.AVERAGE)]
_AFTER = [f":{kind.value}" for kind in (Kind.EVALUATION, Kind.SUMMARY, Kind.SAVING)]
_INPUT = f":{Kind.INPUT.value}"
_OTHERS = ":others"


@dataclass(frozen=True, kw_only=True)
class Box:
    """One box of the picture.

    Attributes:
        key: Its identity; a box that both sides have has the same key on both.
        title: Its first line.
        detail: Its second line.
        look: `shared`, `changed`, `removed`, `added`, `left` or `data`.
        note: The tooltip: all operations that it stands for.
    """

    key: str
    title: str
    detail: str
    look: str
    note: str


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One side's boxes, by key, and the arrows between them."""

    boxes: dict[str, Box]
    arrows: tuple[tuple[str, str], ...]


def draw_boxes(comparison: Comparison) -> dict[Side, Drawing]:
    """Collapse the scopes of both graphs until few enough boxes are left.

    Returns:
        Side to boxes and arrows.
    """
    group = _grouping([_network_boxes(comparison.training), _network_boxes(comparison.serving)])
    root = _common_root(_network_boxes(comparison.training))
    training = dict(_part_boxes(comparison.training, group, root))
    serving = dict(_part_boxes(comparison.serving, group, root))
    serving |= dict(_tensor_boxes("in", comparison.placeholders))
    serving |= dict(_tensor_boxes("out", comparison.outputs))
    flow = [
        (group(_INPUT if start == ":in" else start), group(end)) for start, end in comparison.training_flow
    ]
    within = [
        (start, end) for start, end in flow if start not in _LATER and (end not in _LATER or end == _ORDER[0])
    ]
    serving_flow = [
        (_tensor_key(group(start), serving), _tensor_key(group(end), serving))
        for start, end in comparison.serving_flow
    ]
    return {
        "training": Drawing(boxes=training, arrows=_arrows([*within, *_afterwards(training)], training)),
        "serving": Drawing(boxes=serving, arrows=_arrows(serving_flow, serving)),
    }


_LATER = {*_ORDER, *_AFTER}


def _network_boxes(parts: Iterable[Part]) -> list[str]:
    return sorted({part.box for part in parts if part.box not in _APART})


def _afterwards(boxes: dict[str, Box]) -> Iterator[tuple[str, str]]:
    """Arrows between the steps after the loss, in order: arrows from each layer would hide the rest."""
    order = [key for key in _ORDER if key in boxes]
    yield from zip(order, order[1:], strict=False)
    yield from ((order[-1], key) for key in _AFTER if order and key in boxes)


def _arrows(flow: Iterable[tuple[str, str]], boxes: dict[str, Box]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({(a, b) for a, b in flow if a != b and a in boxes and b in boxes}))


def _grouping(sides: list[list[str]]) -> Callable[[str], str]:
    """The finest way to collapse scopes that leaves no side with too many boxes."""
    deepest = max(
        (key.count("/") + 1 for keys in sides for key in keys if not key.startswith(":")), default=1
    )
    ways: list[Callable[[str], str]] = [lambda key: key]
    ways += [_cut(depth) for depth in range(deepest, 0, -1)]
    ways += [_stems(depth) for depth in range(deepest, 0, -1)]
    sizes = [max(len({way(key) for key in keys}) for keys in sides) for way in ways]
    fitting = [(size, -number) for number, size in enumerate(sizes) if size <= _MOST_LAYERS]
    if fitting:
        return ways[-max(fitting)[1]]
    return _largest(ways[-1], sides)


def _cut(depth: int) -> Callable[[str], str]:
    return lambda key: key if key.startswith(":") else "/".join(key.split("/")[:depth])


def _stems(depth: int) -> Callable[[str], str]:
    """Collapse scopes that differ only in numbers, such as `block_0` to `block_23`."""
    cut = _cut(depth)
    return lambda key: key if key.startswith(":") else re.sub(r"\d+", "*", cut(key))


def _largest(way: Callable[[str], str], sides: list[list[str]]) -> Callable[[str], str]:
    counts = Counter(way(key) for keys in sides for key in keys)
    largest = {
        key for key, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: _MOST_LAYERS - 1]
    }
    return lambda key: way(key) if way(key) in largest or key in _APART or _is_tensor(key) else _OTHERS


def _common_root(keys: list[str]) -> str:
    """The scope that contains all others, such as the model's own."""
    roots = {key.partition("/")[0] for key in keys if not key.startswith(":")}
    return f"{roots.pop()}/" if len(roots) == 1 else ""


def _part_boxes(parts: Iterable[Part], group: Callable[[str], str], root: str) -> Iterator[tuple[str, Box]]:
    grouped: dict[str, list[Part]] = {}
    for part in parts:
        grouped.setdefault(group(part.box), []).append(part)
    for key, members in sorted(grouped.items()):
        yield key, _box(key, members, root)


def _box(key: str, parts: list[Part], root: str) -> Box:
    fates = {part.fate for part in parts}
    look = fates.pop() if len(fates) == 1 else "left" if "left" in fates else "changed"
    types = sum((Counter(part.operations) for part in parts), Counter())
    return Box(
        key=key,
        title=_title(key, parts, root),
        detail=_detail(key, parts, types, look),
        look=look,
        note="\n".join([key.removeprefix(":"), *_describe(parts)]),
    )


def _title(key: str, parts: list[Part], root: str) -> str:
    if key in _APART or key == _OTHERS:
        return key.removeprefix(":")
    name = key.removeprefix(root).removeprefix(":") or key
    kinds = {part.kind for part in parts if part.fate in ("removed", "left")}
    special = kinds - {Kind.NETWORK.value} if all(part.fate != "shared" for part in parts) else set()
    # No `dropout (dropout)`.
    return f"{name} ({', '.join(sorted(special))})" if special and name not in special else name


def _detail(key: str, parts: list[Part], types: Counter[str], look: str) -> str:
    if look == "changed":
        by_fate = Counter[str]()
        for part in parts:
            by_fate[part.fate] += part.count
        kinds = sorted({part.kind for part in parts if part.fate == "removed"} - {Kind.NETWORK.value})
        counts = ", ".join(f"{count} {fate}" for fate, count in sorted(by_fate.items(), reverse=True))
        return f"{counts}: {', '.join(kinds)}" if kinds else counts
    plain = [re.sub(r"(Dataset)?(V\d)?$", "", op) if key == _INPUT else op for op, _ in _most(types)]
    return f"{sum(types.values())}: {', '.join(plain)}"


def _most(types: Counter[str]) -> list[tuple[str, int]]:
    return sorted(types.items(), key=lambda item: (-item[1], item[0]))


def _describe(parts: list[Part]) -> Iterator[str]:
    for part in parts:
        types = ", ".join(f"{count} {name}" for name, count in _most(Counter(part.operations))[:12])
        yield f"{part.fate}, {part.kind}: {types}"


def _tensor_boxes(kind: str, tensors: tuple[Tensor, ...]) -> Iterator[tuple[str, Box]]:
    listed = tensors if len(tensors) <= _MOST_TENSORS else tensors[: _MOST_TENSORS - 1]
    look = "added" if kind == "in" else "data"
    for tensor in listed:
        note = f"{'placeholder' if kind == 'in' else 'answer'} of {', '.join(tensor.signatures)}"
        key = f":{kind}/{tensor.name}"
        yield (
            key,
            Box(key=key, title=tensor.name, detail=tensor.spec, look=look, note=f"{tensor.name}\n{note}"),
        )
    rest = tensors[len(listed) :]
    if rest:
        key, names = f":{kind}", "\n".join(tensor.name for tensor in rest)
        yield key, Box(key=key, title=f"{len(rest)} more", detail="", look=look, note=names)


def _is_tensor(key: str) -> bool:
    return key.startswith((":in/", ":out/"))


def _tensor_key(key: str, boxes: dict[str, Box]) -> str:
    """The key of a tensor's own box, or of the box for the rest."""
    return key if not _is_tensor(key) or key in boxes else key.partition("/")[0]
