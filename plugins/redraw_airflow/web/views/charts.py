"""Where a chart's lines, points and figures are: geometry for the templates, which draw it as SVG."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from redraw.publish.version_rows import VersionRow

_WIDTH, _HEIGHT = 480.0, 200.0
# At the top there is room for the figure of the version that is pointed at.
_LEFT, _RIGHT, _TOP, _BOTTOM = 80.0, 16.0, 28.0, 28.0
_TICKS = 4
_DIGITS = range(4, 12)
# Beyond it the differences of two figures would overflow. No NaN is smaller than it, either.
_LARGEST = 1e300
# Figures that differ by less than this share of themselves are drawn as the same: no axis has room
# for the digits by which they differ.
_LEAST_SHARE = 1e-4
_LEAST_MARGIN = 1e-6
_SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_MARGIN = 120.0, 28.0, 4.0


@dataclass(frozen=True, kw_only=True)
class Point:
    """One version in a chart: where it is, and what it shows when it is pointed at."""

    x: float
    y: float
    value: str
    row: VersionRow
    been_live: bool = False


@dataclass(frozen=True)
class Tick:
    """A line across the chart, and the figure next to it."""

    y: float
    wording: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart of one figure over versions, the oldest weights first.

    Attributes:
        width: Of the picture, in its own units, and so is all that follows.
        height: As the width.
        left: Where the lines across begin.
        right: Where they end.
        ticks: The lines across.
        path: The line through the points, as SVG has paths.
        live_path: The same through those that are or were live; empty if fewer than two are.
        points: The versions.
        strip: How wide each point's part of the chart is, in which the pointer means it.
        lowest: The lowest figure, worded.
        highest: The highest, worded.
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


class Wording(Protocol):
    """A figure as people read it, with so many digits that count; by default as many as suit it."""

    def __call__(self, value: float, digits: int = ...) -> str:
        """The figure."""
        ...


def draw_chart(
    rows: Sequence[VersionRow],
    measure: Measure,
    wording: Wording,
    been_live: Collection[int | None] = (),
) -> Chart | None:
    """Lay out a chart.

    Args:
        rows: Versions, the newest weights first.
        measure: The figure of a version; one without, or with one that is not finite, is left out.
        wording: A figure as people read it.
        been_live: The versions that are or were live.

    Returns:
        The chart; None where no version has the figure.
    """
    known = _measured(rows, measure)
    if not known:
        return None
    values = [value for _, value in known]
    scale = draw_scale(values, (_HEIGHT - _BOTTOM, _TOP), wording)
    places = _places(values, (_LEFT, _WIDTH - _RIGHT), scale.place)
    lived = [place for (row, _), place in zip(known, places, strict=True) if row.version in been_live]
    return Chart(
        live_path=path_of(lived) if len(lived) > 1 else "",
        ticks=scale.ticks,
        path=path_of(places),
        strip=round((_WIDTH - _LEFT - _RIGHT) / max(len(known) - 1, 1), 2),
        points=tuple(
            Point(x=x, y=y, value=scale.tell(value), row=row, been_live=row.version in been_live)
            for (row, value), (x, y) in zip(known, places, strict=True)
        ),
        lowest=wording(min(values)),
        highest=wording(max(values)),
    )


def draw_sparkline(rows: Sequence[VersionRow], measure: Measure, wording: Wording) -> Chart | None:
    """Lay out a line the size of a word; as `draw_chart`, without lines across."""
    known = _measured(rows, measure)
    if not known:
        return None
    values = [value for _, value in known]
    down = (_SPARK_HEIGHT - _SPARK_MARGIN, _SPARK_MARGIN)
    place = functools.partial(_between, limits=(min(values), max(values)), places=down)
    places = _places(values, (_SPARK_MARGIN, _SPARK_WIDTH - _SPARK_MARGIN), place)
    points = zip(known, places, strict=True)
    return Chart(
        width=_SPARK_WIDTH,
        height=_SPARK_HEIGHT,
        path=path_of(places),
        points=tuple(Point(x=x, y=y, value=wording(value), row=row) for (row, value), (x, y) in points),
        lowest=wording(min(values)),
        highest=wording(max(values)),
    )


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The lines across a chart of some figures, where a figure is on it, and how it is worded there."""

    ticks: tuple[Tick, ...]
    place: Callable[[float], float]
    tell: Callable[[float], str]


def draw_scale(
    values: Sequence[float], down: tuple[float, float], wording: Wording, *, counted: bool = False
) -> Scale:
    """Lay out the scale of a chart.

    Args:
        values: The figures, one at least.
        down: Where the lowest and the highest line are.
        wording: A figure as people read it.
        counted: Whether only whole numbers have a line.
    """
    steps = _round_steps(min(values), max(values))
    if counted:
        steps = [step for step in steps if float(step).is_integer()]
    place = functools.partial(_between, limits=(steps[0], steps[-1]), places=down)
    tell = _telling_apart(steps, wording)
    ticks = tuple(Tick(round(place(step), 1), tell(step)) for step in steps)
    return Scale(ticks=ticks, place=place, tell=tell)


def _telling_apart(ticks: Sequence[float], wording: Wording) -> Callable[[float], str]:
    """The wording with as many digits as tell the ticks from each other."""
    for digits in _DIGITS:
        tell = functools.partial(wording, digits=digits)
        if len({tell(tick) for tick in ticks}) == len(ticks):
            break
    return tell


def _measured(rows: Sequence[VersionRow], measure: Measure) -> list[tuple[VersionRow, float]]:
    """The versions that have a finite figure, the oldest weights first."""
    measured = ((row, measure(row)) for row in reversed(rows))
    return [(row, value) for row, value in measured if value is not None and is_drawn(value)]


def _places(
    values: Sequence[float], across: tuple[float, float], place: Callable[[float], float]
) -> list[tuple[float, float]]:
    step = (across[1] - across[0]) / max(len(values) - 1, 1)
    start = across[0] if len(values) > 1 else sum(across) / 2
    return [(round(start + number * step, 1), round(place(value), 1)) for number, value in enumerate(values)]


def _between(value: float, limits: tuple[float, float], places: tuple[float, float]) -> float:
    """Where a value is on a scale; in the middle of a scale without length."""
    share = (value - limits[0]) / (limits[1] - limits[0]) if limits[1] > limits[0] else 0.5
    return places[0] + share * (places[1] - places[0])


def is_drawn(value: float | None) -> bool:
    """Whether a chart can show a figure."""
    return value is not None and abs(value) <= _LARGEST


def path_of(places: Sequence[tuple[float, float]]) -> str:
    """The line through some points, as SVG has paths; empty without any."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in places) if places else ""


def _round_steps(lowest: float, highest: float) -> list[float]:
    """Round numbers around the values, about as many as a chart has room for."""
    size = max(abs(lowest), abs(highest))
    if highest - lowest <= _LEAST_SHARE * size:
        margin = max(size / 10, _LEAST_MARGIN)
        # A share ends at 1, and nothing that is counted begins below 0.
        below, above = lowest - margin, highest + margin
        lowest, highest = (
            max(below, 0.0) if lowest >= 0 else below,
            min(above, 1.0) if highest <= 1 else above,
        )
    rough = (highest - lowest) / _TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first = math.floor(lowest / step)
    last = max(math.ceil(highest / step), first + 1)
    return [number * step for number in range(first, last + 1)]
