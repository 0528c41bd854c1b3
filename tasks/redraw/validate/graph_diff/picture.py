"""The two graphs as an SVG: readable alone and within a page, on a light and on a dark screen."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from redraw.validate.graph_diff.boxes import Side, draw_boxes
from redraw.validate.graph_diff.comparison import Comparison
from redraw.validate.graph_diff.layout import BOX_HEIGHT, BOX_WIDTH, lay_out

_CHARACTERS = {"title": 30, "detail": 35}  # what fits into a box, in a fixed-width font of 13 and 11 pixels


def draw_picture(comparison: Comparison, title: str) -> str:
    """Draw both graphs next to each other.

    Returns:
        An SVG document, the same for the same graphs.
    """
    drawings = draw_boxes(comparison)
    layout = lay_out(drawings)
    boxes = [
        {"box": drawings[side].boxes[key], "x": x, "y": y}
        for (side, key), (x, y) in sorted(layout.boxes.items())
    ]
    left: dict[Side, float] = {
        side: min(x for (one, _), (x, _) in layout.boxes.items() if one == side)
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
    """Text that fits into a box: wide characters count twice, those that do not show are replaced."""
    room = _CHARACTERS[line]
    shown = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    if sum(map(_columns, shown)) <= room:
        return shown
    kept, used = "", 1
    for one in shown:
        used += _columns(one)
        if used > room:
            break
        kept += one
    return f"{kept}…"


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
