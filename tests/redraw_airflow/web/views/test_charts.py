from __future__ import annotations

import functools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from redraw.publish.version_rows import VersionRow, row_of
from redraw_airflow.web.views.charts import Chart, draw_chart, draw_scale, draw_sparkline
from redraw_airflow.web.views.formatting import as_bytes, as_figure
from tests.redraw_airflow.web.publications import release_record

ROW = row_of(release_record("mnist"))
FIGURES = st.lists(st.floats(), max_size=40)


def rows_of(figures: list[float]) -> list[VersionRow]:
    return [replace(ROW, version=number, metrics={"m": figure}) for number, figure in enumerate(figures)]


def measure(row: VersionRow) -> float | None:
    return row.metrics.get("m")


@given(FIGURES)
def test_draw_chart_keeps_every_point_inside_and_in_order(figures: list[float]) -> None:
    for draw in (draw_chart, draw_sparkline):
        chart = draw(rows_of(figures), measure, as_figure)
        shown = [figure for figure in reversed(figures) if abs(figure) <= 1e300]
        if chart is None:
            assert not shown
            continue
        assert [point.row.metrics["m"] for point in chart.points] == shown
        assert all(0 <= point.x <= chart.width and 0 <= point.y <= chart.height for point in chart.points)
        places = [point.x for point in chart.points]
        assert places == sorted(places)
        higher = max(chart.points, key=measure_of), min(chart.points, key=measure_of)
        assert higher[0].y <= higher[1].y


def measure_of(point: object) -> float:
    return point.row.metrics["m"]  # type: ignore[attr-defined]


@given(FIGURES)
def test_draw_chart_has_its_points_between_its_ticks(figures: list[float]) -> None:
    chart = draw_chart(rows_of(figures), measure, as_figure)
    if chart is not None:
        heights = [tick.y for tick in chart.ticks]
        assert 2 <= len(heights) <= 8
        assert all(min(heights) <= point.y <= max(heights) for point in chart.points)


def test_draw_chart_has_round_ticks_that_differ() -> None:
    draw = functools.partial(draw_chart, measure=measure, format_value=as_figure)

    assert ticks(draw(rows_of([0.91, 0.97]))) == ["0.9", "0.92", "0.94", "0.96", "0.98"]
    assert ticks(draw(rows_of([0.9701, 0.9704])))[:2] == ["0.9701", "0.9702"]
    # What no axis has room to tell apart is drawn as the same.
    assert ticks(draw(rows_of([0.970001, 0.970002]))) == ticks(draw(rows_of([0.97, 0.97])))
    assert ticks(draw_chart(rows_of([519300, 519360]), measure, as_bytes))[0] == "519.3 kB"


def ticks(chart: Chart | None) -> list[str]:
    assert chart is not None
    return [tick.label for tick in chart.ticks]


@given(counts=st.lists(st.integers(1, 5_000), min_size=1, max_size=12))
def test_draw_scale_of_counts_has_whole_numbers_and_room_for_each(counts: list[int]) -> None:
    scale = draw_scale([0.0, *map(float, counts)], (100.0, 0.0), as_figure, counted=True)

    assert all("." not in tick.label for tick in scale.ticks)
    assert len({tick.label for tick in scale.ticks}) == len(scale.ticks) >= 2
    assert all(0.0 <= scale.place(float(count)) <= 100.0 for count in counts)
