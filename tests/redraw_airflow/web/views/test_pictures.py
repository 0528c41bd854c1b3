"""The pictures of compared answers and of a training's loss."""

from __future__ import annotations

import math
from typing import Any

import pytest

from redraw.records.progress import LossPoint, MeasuredStep, TrainingProgress
from redraw.records.results import AnswerComparison, OutputDifference, ValueChange
from redraw.records.results.comparison import DifferenceBar
from redraw_airflow.web.views.answer_changes import OutputChange, describe_answers
from redraw_airflow.web.views.run_records import TaskRecord
from redraw_airflow.web.views.training_curves import WatchedTraining, describe_trainings

KEY = ("fit", -1)


def output_of(**more: Any) -> OutputChange:
    output = OutputDifference(signature="s", output="o", dtype="float32", rows=10, changed=2, **more)
    comparison = AnswerComparison(
        model="mnist", version=1, other=2, tolerance=0.0, rows=10, outputs=(output,) * 21
    )
    described = describe_answers(comparison)
    assert len(described.outputs) == 20
    return described.outputs[0]


def test_describe_answers_draws_the_other_version_across_and_this_one_upwards() -> None:
    scatter = output_of(points=((0.0, 1.0), (1.0, 0.5), (math.nan, 1.0), (1.0,))).scatter

    assert scatter is not None
    assert scatter.dots == ((72.0, 12.0), (464.0, 108.0))
    ends = [(ticks[0].y, ticks[-1].y) for ticks in (scatter.across, scatter.ticks)]
    assert ends == [(72.0, 464.0), (204.0, 12.0)]


def test_describe_answers_draws_a_bar_of_each_difference_and_names_the_equal_ones() -> None:
    bars = (DifferenceBar(low=0, high=0, rows=8), DifferenceBar(low=0.1, high=0.25, rows=2))

    histogram = output_of(histogram=bars).histogram

    assert histogram is not None
    assert histogram.bars == (
        (72.0, 195.0, 12.0, 192.0, "equal: 8 rows"),
        (268.0, 195.0, 156.0, 48.0, "0.1 to 0.25: 2 rows"),
    )
    assert (histogram.first, histogram.last) == ("equal", "0.25")
    unequal = output_of(histogram=bars[1:]).histogram
    assert unequal is not None
    assert (unequal.first, unequal.bars[0][:2]) == ("0.1", (72.0, 391.0))


def test_describe_answers_lists_classes_that_changed_and_draws_no_texts() -> None:
    classes = (ValueChange(here="a", other="a", rows=8), ValueChange(here="a", other="b", rows=2))

    output = output_of(classes=classes)

    assert (output.changed, output.scatter, output.histogram) == (classes[1:], None, None)


def watch(state: str = "running", **more: Any) -> WatchedTraining:
    progress = TrainingProgress(model="mnist", run="a-run", uri="/work/mnist/a-run", **more)
    found = TaskRecord(task_id="fit", map_index=-1, kind="TrainingProgress", record=progress)
    (watched,) = describe_trainings([found], {KEY: state})
    return watched


def test_describe_trainings_draws_the_loss_from_the_first_step_to_the_last() -> None:
    losses = (LossPoint(step=10, loss=3.0), LossPoint(step=20, loss=math.inf), LossPoint(step=30, loss=2.0))
    measured = (
        MeasuredStep(step=50, metrics={"loss": 1.0, "accuracy": 0.5}),
        MeasuredStep(step=60, metrics={"f1": 1.0}),
    )

    watched = watch(losses=losses, measured=measured, step=60, steps=100, steps_per_second=20.0)

    assert watched.curve is not None
    assert (watched.curve.path, watched.curve.dots) == ("M64 12L344 102", ((624.0, 192.0, "step 50: 1"),))
    assert (watched.curve.first, watched.curve.last) == (10, 50)
    assert (watched.seconds_left, watched.names) == (2.0, ("accuracy", "f1", "loss"))
    assert watch(losses=losses[:1]).curve is None
    assert watch(losses=losses[::2]).curve is not None


@pytest.mark.parametrize(
    ("progress", "left"),
    [
        ({"step": 100, "steps": 100, "steps_per_second": 20.0}, None),
        ({"step": 99, "steps": 100, "steps_per_second": 0.5}, 2.0),
        ({"step": 99, "steps": 100}, None),
        ({"step": 99, "steps": 100, "steps_per_second": 0.0}, None),
    ],
)
def test_describe_trainings_says_how_long_one_takes_where_its_speed_is_known(
    progress: dict[str, Any], left: float | None
) -> None:
    assert watch(**progress).seconds_left == left


@pytest.mark.parametrize(
    ("state", "runs"), [("running", True), ("deferred", True), ("failed", False), ("", False)]
)
def test_describe_trainings_of_one_that_cannot_be_read_says_whether_it_runs(state: str, runs: bool) -> None:
    unread = TaskRecord(task_id="fit", map_index=-1, kind="?", record=None, problem="cut off")

    (watched,) = describe_trainings([unread], {KEY: state})

    assert (watched.progress, watched.runs, watch(state).runs) == (None, runs, runs)


@pytest.mark.parametrize(
    ("setting", "link"),
    [
        ("https://board.example/?run={run}", "https://board.example/?run=a-run"),
        ("/board/{run}", "/board/a-run"),
        ("javascript:{run}", ""),
        ("", ""),
    ],
)
def test_describe_trainings_links_to_tensorboard_only_by_http(
    setting: str, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_TENSORBOARD", setting)
    assert watch().tensorboard == link
