"""The geometry of charts: places of lines, points and figures, which the templates draw as SVG."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from redraw.publish.version_rows import VersionRow

_WIDTH, _HEIGHT = 480.0, 200.0
# The top has room for the figure of the version under the mouse pointer.
_LEFT, _RIGHT, _TOP, _BOTTOM = 80.0, 16.0, 28.0, 28.0
_TICKS = 4
_DIGITS = range(4, 12)
# The difference of larger figures would overflow. NaN is not smaller than this, either.
_LARGEST = 1e300
# Figures that differ by less than this share of themselves are drawn as equal, because an axis has no room
# for the digits that differ.
_LEAST_SHARE = 1e-4
_LEAST_MARGIN = 1e-6
_SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_MARGIN = 120.0, 28.0, 4.0


@dataclass(frozen=True, kw_only=True)
class Point:
    """A version in a chart: its place, and the figure that it shows under the mouse pointer."""

    x: float
    y: float
    value: str
    row: VersionRow
    been_live: bool = False


@dataclass(frozen=True)
class Tick:
    """A grid line of the chart, and the figure next to it."""

    y: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart of one figure over versions, the oldest weights first.

    Attributes:
        width: The picture's width, in its own units, as all lengths here.
        height: The picture's height.
        left: The start of the grid lines.
        right: The end of the grid lines.
        ticks: The grid lines.
        path: The line through the points, as an SVG path.
        live_path: The line through the versions that are or were live; empty if there are fewer than two.
        points: The versions.
        strip: The width of the part of the chart that reacts to the mouse for each point.
        lowest: The lowest figure, as text.
        highest: The highest figure, as text.
    """

    width: float = _WIDTH
    height: float = _HEIGHT
    left: float = _LEFT
    right: float = _WIDTH - _RIGHT
    ticks: tuple[Tick, ...] = ()
    path: str
    live_path: str = ""
    points: tuple[Point, ...]
    strip: float = 0.0
    lowest: str
    highest: str


Measure = Callable[[VersionRow], float | None]


class Formatter(Protocol):
    """Formats a figure for people, with a number of significant digits that suits it by default."""

    def __call__(self, value: float, digits: int = ...) -> str:
        """Format the figure."""
        ...


def draw_chart(
    rows: Sequence[VersionRow],
    measure: Measure,
    format_value: Formatter,
    been_live: Collection[int | None] = (),
) -> Chart | None:
    """Lay out a chart.

    Args:
        rows: Versions, the newest weights first.
        measure: The figure of a version; a version without a finite figure is left out.
        format_value: Formats a figure.
        been_live: The versions that are or were live.

    Returns:
        The chart; None if no version has the figure.
    """
    measured = _measured(rows, measure)
    if not measured:
        return None
    values = [value for _, value in measured]
    scale = draw_scale(values, (_HEIGHT - _BOTTOM, _TOP), format_value)
    places = _places(values, (_LEFT, _WIDTH - _RIGHT), scale.place)
    live_places = [
        place for (row, _), place in zip(measured, places, strict=True) if row.version in been_live
    ]
    return Chart(
        live_path=path_of(live_places) if len(live_places) > 1 else "",
        ticks=scale.ticks,
        path=path_of(places),
        strip=round((_WIDTH - _LEFT - _RIGHT) / max(len(measured) - 1, 1), 2),
        points=tuple(
            Point(x=x, y=y, value=scale.format_value(value), row=row, been_live=row.version in been_live)
            for (row, value), (x, y) in zip(measured, places, strict=True)
        ),
        lowest=format_value(min(values)),
        highest=format_value(max(values)),
    )


def draw_sparkline(rows: Sequence[VersionRow], measure: Measure, format_value: Formatter) -> Chart | None:
    """Lay out a chart of the size of a word, without grid lines."""
    measured = _measured(rows, measure)
    if not measured:
        return None
    values = [value for _, value in measured]
    down = (_SPARK_HEIGHT - _SPARK_MARGIN, _SPARK_MARGIN)
    place = functools.partial(_between, limits=(min(values), max(values)), places=down)
    places = _places(values, (_SPARK_MARGIN, _SPARK_WIDTH - _SPARK_MARGIN), place)
    points = zip(measured, places, strict=True)
    return Chart(
        width=_SPARK_WIDTH,
        height=_SPARK_HEIGHT,
        path=path_of(places),
        points=tuple(Point(x=x, y=y, value=format_value(value), row=row) for (row, value), (x, y) in points),
        lowest=format_value(min(values)),
        highest=format_value(max(values)),
    )


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The grid lines of a chart, the place of a figure, and its text next to them."""

    ticks: tuple[Tick, ...]
    place: Callable[[float], float]
    format_value: Callable[[float], str]


def draw_scale(
    values: Sequence[float], down: tuple[float, float], format_value: Formatter, *, counted: bool = False
) -> Scale:
    """Lay out the scale of a chart.

    Args:
        values: The figures, at least one.
        down: The places of the lowest and the highest line.
        format_value: Formats a figure.
        counted: Whether only whole numbers have a line.
    """
    steps = _round_steps(min(values), max(values))
    if counted:
        steps = [step for step in steps if float(step).is_integer()]
    place = functools.partial(_between, limits=(steps[0], steps[-1]), places=down)
    format_step = _distinguishing(steps, format_value)
    ticks = tuple(Tick(round(place(step), 1), format_step(step)) for step in steps)
    return Scale(ticks=ticks, place=place, format_value=format_step)


def _distinguishing(ticks: Sequence[float], format_value: Formatter) -> Callable[[float], str]:
    """The formatter with enough digits to distinguish the ticks."""
    for digits in _DIGITS:
        formatter = functools.partial(format_value, digits=digits)
        if len({formatter(tick) for tick in ticks}) == len(ticks):
            break
    return formatter


def _measured(rows: Sequence[VersionRow], measure: Measure) -> list[tuple[VersionRow, float]]:
    """The versions with a finite figure, the oldest weights first."""
    measured = ((row, measure(row)) for row in reversed(rows))
    return [(row, value) for row, value in measured if value is not None and is_drawn(value)]


def _places(
    values: Sequence[float], across: tuple[float, float], place: Callable[[float], float]
) -> list[tuple[float, float]]:
    step = (across[1] - across[0]) / max(len(values) - 1, 1)
    start = across[0] if len(values) > 1 else sum(across) / 2
    return [(round(start + number * step, 1), round(place(value), 1)) for number, value in enumerate(values)]


def _between(value: float, limits: tuple[float, float], places: tuple[float, float]) -> float:
    """The place of a value on a scale; the middle if the scale has no length."""
    share = (value - limits[0]) / (limits[1] - limits[0]) if limits[1] > limits[0] else 0.5
    return places[0] + share * (places[1] - places[0])


def is_drawn(value: float | None) -> bool:
    """Whether a chart can show a figure."""
    return value is not None and abs(value) <= _LARGEST


def path_of(places: Sequence[tuple[float, float]]) -> str:
    """The SVG path through some points; empty if there are none."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in places) if places else ""


def _round_steps(lowest: float, highest: float) -> list[float]:
    """Round numbers that enclose the values, about as many as a chart has room for."""
    size = max(abs(lowest), abs(highest))
    if highest - lowest <= _LEAST_SHARE * size:
        margin = max(size / 10, _LEAST_MARGIN)
        # The margin must not exceed 0 and 1, which may be the limits of counts and shares.
        below, above = lowest - margin, highest + margin
        lowest, highest = (
            max(below, 0.0) if lowest >= 0 else below,
            min(above, 1.0) if highest <= 1 else above,
        )
    rough = (highest - lowest) / _TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    lowest_step = math.floor(lowest / step)
    highest_step = max(math.ceil(highest / step), lowest_step + 1)
    return [number * step for number in range(lowest_step, highest_step + 1)]
