"""Draw the two graphs as an SVG, readable alone or in a page, on a light or a dark screen."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pygraphviz
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from redraw.validate.graph_diff.boxes import Drawing, Side, draw_boxes
from redraw.validate.graph_diff.comparison import Comparison

_CHARACTERS = {"title": 30, "detail": 35}  # what fits into a box, in a fixed-width font of 13 and 11 pixels
BOX_WIDTH, BOX_HEIGHT = 250, 40  # pixels; fixed, so that the layout does not depend on fonts
_INCH = 72.0


def draw_picture(comparison: Comparison, title: str) -> str:
    """Draw both graphs next to each other.

    Returns:
        An SVG document; equal graphs give equal documents.
    """
    drawings = draw_boxes(comparison)
    layout = _lay_out(drawings)
    boxes = [
        {"box": drawings[side].boxes[key], "x": x, "y": y}
        for (side, key), (x, y) in sorted(layout.boxes.items())
    ]
    left: dict[Side, float] = {
        side: min(x for (box_side, _), (x, _) in layout.boxes.items() if box_side == side)
        for side in drawings
        if drawings[side].boxes
    }
    return _TEMPLATES.get_template("picture.svg").render(
        title=title,
        comparison=comparison,
        layout=layout,
        boxes=boxes,
        left=left,
        box_width=BOX_WIDTH,
        box_height=BOX_HEIGHT,
    )


def _fitted(text: str, line: str) -> str:
    """Cut text to fit into a box: wide characters count twice, unprintable ones are replaced."""
    room = _CHARACTERS[line]
    printable = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    if sum(map(_columns, printable)) <= room:
        return printable
    head, used = "", 1
    for char in printable:
        used += _columns(char)
        if used > room:
            break
        head += char
    return f"{head}…"


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WFA" else 1


def _curve(points: tuple[tuple[float, float], ...]) -> str:
    (start, *rest) = [f"{x:.1f},{y:.1f}" for x, y in points]
    return f"M{start} C{' '.join(rest)}"


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"fitted": _fitted, "curve": _curve}


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Positions in pixels from the upper left corner.

    Attributes:
        width: The width of the picture.
        height: The height of the picture.
        boxes: Side and key of a box to its upper left corner.
        arrows: The control points of each arrow's Bézier curve.
    """

    width: float
    height: float
    boxes: Mapping[tuple[Side, str], tuple[float, float]]
    arrows: tuple[tuple[tuple[float, float], ...], ...]


def _lay_out(drawings: Mapping[Side, Drawing]) -> _Layout:
    """Lay both sides out next to each other, with shared boxes at the same height."""
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


def _read(text: str, names: Mapping[str, tuple[Side, str]]) -> _Layout:
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
    return _Layout(width=width, height=height, boxes=boxes, arrows=tuple(sorted(arrows)))
