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


def test_draw_chart_lays_out_the_oldest_left_and_one_alone_in_the_middle() -> None:
    rows = rows_of([0.3, 0.1, 0.2])

    chart = draw_chart(rows, measure, as_figure, been_live={0, 2})

    assert chart is not None
    assert [(point.x, point.been_live) for point in chart.points] == [(80, True), (272, False), (464, True)]
    assert (chart.lowest, chart.highest, chart.strip) == ("0.1", "0.3", 192)
    assert (chart.left, chart.right) == (80, 464)
    assert ticks(chart) == ["0.1", "0.15", "0.2", "0.25", "0.3"]
    assert (chart.path, chart.live_path) == ("M80 100L272 172L464 28", "M80 100L464 28")
    assert [tick.y for tick in chart.ticks] == [172, 136, 100, 64, 28]
    alone = draw_chart(rows[:1], measure, as_figure, been_live={0})
    assert alone is not None
    assert (alone.points[0].x, alone.live_path, alone.strip) == (272, "", 384)


def test_draw_sparkline_fills_its_room_and_a_flat_one_stays_in_the_middle() -> None:
    drawn = [draw_sparkline(rows_of(figures), measure, as_figure) for figures in ([0.3, 0.1], [0.2, 0.2])]

    assert [line and line.path for line in drawn] == ["M4 24L116 4", "M4 14L116 14"]
    assert [line and (line.lowest, line.highest) for line in drawn] == [("0.1", "0.3"), ("0.2", "0.2")]


def test_draw_chart_of_one_figure_has_lines_around_it_within_what_it_can_be() -> None:
    draw = functools.partial(draw_chart, measure=measure, format_value=as_figure)
    ends = {}
    for figure in (0.0, 1.0, -50.0, 50.0):
        lines = ticks(draw(rows_of([figure])))
        ends[figure] = (lines[0], lines[-1])
    assert ends == {0.0: ("0", "1e-06"), 1.0: ("0.9", "1"), -50.0: ("-55", "-45"), 50.0: ("45", "55")}


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
