"""The differences between two versions' answers, with pictures: a scatter plot and a histogram."""

from __future__ import annotations

from dataclasses import dataclass

from redraw.publish.browse import Browser
from redraw.records import Release
from redraw.records.results import AnswerComparison, OutputDifference, ValueChange
from redraw.records.results.comparison import ANSWERS_NAME
from redraw_airflow.web.server.read_results import PARSED_BYTES, ReadResult, read_attachment
from redraw_airflow.web.views.charts import Tick, draw_scale, is_drawn
from redraw_airflow.web.views.formatting import as_figure

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 480.0, 240.0, 72.0, 464.0, 12.0, 204.0
_MOST_OUTPUTS, _MOST_POINTS, _MOST_CELLS = 20, 1000, 100


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Values of the other version (x) and of this one (y); equal values are on the diagonal."""

    ticks: tuple[Tick, ...]
    across: tuple[Tick, ...]
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Rows by the size of their difference: each bar's left edge, width, top, height and label."""

    ticks: tuple[Tick, ...]
    bars: tuple[tuple[float, float, float, float, str], ...]
    first: str
    last: str


@dataclass(frozen=True, kw_only=True)
class OutputChange:
    """An output, its changed classes, the most frequent first, and its pictures; None for texts."""

    difference: OutputDifference
    changed: tuple[ValueChange, ...]
    scatter: Scatter | None
    histogram: Histogram | None


@dataclass(frozen=True, kw_only=True)
class AnswerChanges:
    """A comparison, its outputs as pictures, and the frame of the pictures."""

    comparison: AnswerComparison
    outputs: tuple[OutputChange, ...]
    width: float = _WIDTH
    height: float = _HEIGHT
    left: float = _LEFT
    right: float = _RIGHT
    top: float = _TOP
    bottom: float = _BOTTOM


def find_answers(browser: Browser, here: Release, there: Release) -> ReadResult[AnswerChanges]:
    """Validation's comparison of a version's answers with another's, which was live then."""

    def read(content: bytes) -> AnswerComparison:
        return AnswerComparison.from_text(content, ANSWERS_NAME, PARSED_BYTES)

    result = read_attachment(browser, here, ANSWERS_NAME, read)
    if result.content is None or result.content.other != there.version:
        return ReadResult(problem=result.problem)
    return ReadResult(content=describe_answers(result.content))


def describe_answers(comparison: AnswerComparison) -> AnswerChanges:
    """A comparison with its pictures."""
    outputs = tuple(
        OutputChange(
            difference=output,
            changed=tuple(cell for cell in output.classes if cell.here != cell.other)[:_MOST_CELLS],
            scatter=_scatter(output),
            histogram=_histogram(output),
        )
        for output in comparison.outputs[:_MOST_OUTPUTS]
    )
    return AnswerChanges(comparison=comparison, outputs=outputs)


def _scatter(output: OutputDifference) -> Scatter | None:
    pairs = [pair for pair in output.points[:_MOST_POINTS] if len(pair) == 2 and all(map(is_drawn, pair))]
    if not pairs:
        return None
    values = [value for pair in pairs for value in pair]
    vertical = draw_scale(values, (_BOTTOM, _TOP), as_figure)
    horizontal = draw_scale(values, (_LEFT, _RIGHT), as_figure)
    dots = tuple((round(horizontal.place(other), 1), round(vertical.place(here), 1)) for other, here in pairs)
    return Scatter(ticks=vertical.ticks, across=horizontal.ticks, dots=dots)


def _histogram(output: OutputDifference) -> Histogram | None:
    bars = [bar for bar in output.histogram if is_drawn(bar.low) and is_drawn(bar.high)]
    if not bars:
        return None
    rows = [0.0, *(float(bar.rows) for bar in bars)]
    scale = draw_scale(rows, (_BOTTOM, _TOP), as_figure, counted=True)
    width = (_RIGHT - _LEFT) / len(bars)
    placed = []
    for number, bar in enumerate(bars):
        top = round(scale.place(float(bar.rows)), 1)
        between = f"{as_figure(bar.low, 2)} to {as_figure(bar.high, 2)}" if bar.high else "equal"
        left = round(_LEFT + number * width, 1)
        size = (left, round(width - 1, 1), top, round(_BOTTOM - top, 1))
        placed.append((*size, f"{between}: {bar.rows:,} rows"))
    first = as_figure(bars[0].low, 2) if bars[0].high else "equal"
    return Histogram(ticks=scale.ticks, bars=tuple(placed), first=first, last=as_figure(bars[-1].high, 2))
