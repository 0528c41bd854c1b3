"""Where boxes and arrows go: by Graphviz, whose `dot` lays out graphs in layers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import pygraphviz

from redraw.validate.graph_diff.boxes import Drawing, Side

BOX_WIDTH, BOX_HEIGHT = 250, 40  # pixels; the same for each, so that no font decides on the layout
_INCH = 72.0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Places, in pixels from the upper left.

    Attributes:
        width: Of it all.
        height: Of it all.
        boxes: Side and key of a box to its upper left corner.
        arrows: The control points of each arrow's Bézier curve.
    """

    width: float
    height: float
    boxes: Mapping[tuple[Side, str], tuple[float, float]]
    arrows: tuple[tuple[tuple[float, float], ...], ...]


def lay_out(drawings: Mapping[Side, Drawing]) -> Layout:
    """Lay both sides out next to each other, what they share on one height.

    Args:
        drawings: Side to boxes and arrows.

    Returns:
        The same places for the same boxes, always.
    """
    graph = pygraphviz.AGraph(
        directed=True, strict=True, newrank="true", nodesep=0.25, ranksep=0.28, splines="true", rankdir="TB"
    )
    graph.node_attr.update(
        shape="box", label="", fixedsize="true", width=BOX_WIDTH / _INCH, height=BOX_HEIGHT / _INCH
    )
    graph.edge_attr.update(arrowhead="none")
    ids: dict[tuple[Side, str], str] = {}
    for side, drawing in drawings.items():
        for key in sorted(drawing.boxes):
            ids[side, key] = f"n{len(ids)}"
            graph.add_node(ids[side, key])
        members = [ids[side, key] for key in sorted(drawing.boxes)]
        graph.add_subgraph(members, name=f"cluster_{side}", margin=20)
        for start, end in drawing.arrows:
            graph.add_edge(ids[side, start], ids[side, end])
    for key in sorted(set.intersection(*(set(drawing.boxes) for drawing in drawings.values()))):
        graph.add_subgraph([ids[side, key] for side in drawings], rank="same")
    names = {name: place for place, name in ids.items()}
    return _read(graph.draw(format="plain", prog="dot").decode(), names)


def _read(text: str, names: Mapping[str, tuple[Side, str]]) -> Layout:
    """Read Graphviz' plain format: inches from the lower left.

    Source:
        https://graphviz.org/docs/outputs/plain/
    """
    height, width = 0.0, 0.0
    boxes: dict[tuple[Side, str], tuple[float, float]] = {}
    arrows = []
    for line in text.splitlines():
        kind, *words = shlex.split(line)
        if kind == "graph":
            width, height = (float(word) * _INCH for word in words[1:3])
        elif kind == "node":
            x, y = (float(word) * _INCH for word in words[1:3])
            boxes[names[words[0]]] = (x - BOX_WIDTH / 2, height - y - BOX_HEIGHT / 2)
        elif kind == "edge":
            numbers = [float(word) * _INCH for word in words[3 : 3 + 2 * int(words[2])]]
            arrows.append(tuple((x, height - y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)))
    return Layout(width=width, height=height, boxes=boxes, arrows=tuple(sorted(arrows)))
