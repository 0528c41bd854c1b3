"""The progress of a training, and the curve of its loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from redraw.records.progress import TrainingProgress
from redraw_airflow.operators.links import tensorboard_url
from redraw_airflow.web.views.charts import Tick, draw_scale, is_drawn, path_of
from redraw_airflow.web.views.formatting import as_figure
from redraw_airflow.web.views.run_records import TaskRecord

_RUNNING = {"queued", "running", "deferred", "up_for_retry", "scheduled", "restarting"}
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640.0, 220.0, 64.0, 624.0, 12.0, 192.0


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A loss over the steps, in the units of the picture."""

    width: float = _WIDTH
    height: float = _HEIGHT
    left: float = _LEFT
    right: float = _RIGHT
    ticks: tuple[Tick, ...]
    path: str
    dots: tuple[tuple[float, float, str], ...]
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class WatchedTraining:
    """A training of a run.

    Attributes:
        task: Its task, with the problem if its progress cannot be read.
        progress: Its progress; None if it cannot be read.
        runs: Whether it is running.
        seconds_left: The remaining time at its speed; None if the speed is unknown.
        curve: The curve of its loss; None if there are fewer than two points.
        names: The metrics of its evaluations.
        tensorboard: The link to its curves; empty if there is none.
    """

    task: TaskRecord
    progress: TrainingProgress | None
    runs: bool
    seconds_left: float | None = None
    curve: Curve | None = None
    names: tuple[str, ...] = ()
    tensorboard: str = ""


def describe_trainings(
    records: Iterable[TaskRecord], states: Mapping[tuple[str, int], str]
) -> tuple[WatchedTraining, ...]:
    """Describe the trainings of a run, or of one of its tasks.

    Args:
        records: The progress records that the tasks left.
        states: Each task's state.
    """
    return tuple(_describe(record, states.get((record.task_id, record.map_index), "")) for record in records)


def _describe(task: TaskRecord, state: str) -> WatchedTraining:
    progress = task.record
    if not isinstance(progress, TrainingProgress):
        return WatchedTraining(task=task, progress=None, runs=state in _RUNNING)
    rate, remaining = progress.steps_per_second, progress.steps - progress.step
    url = tensorboard_url(progress.model, progress.run, progress.uri)
    return WatchedTraining(
        task=task,
        progress=progress,
        runs=state in _RUNNING,
        seconds_left=remaining / rate if rate and remaining > 0 else None,
        curve=_draw(progress),
        names=tuple(sorted({name for evaluation in progress.measured for name in evaluation.metrics})),
        # The deployment's setting is trusted; a record only fills in names.
        tensorboard=url if url.startswith(("https://", "http://", "/")) else "",
    )


def _draw(progress: TrainingProgress) -> Curve | None:
    points = [(point.step, point.loss) for point in progress.losses if is_drawn(point.loss)]
    measured = [(evaluation.step, evaluation.metrics.get("loss")) for evaluation in progress.measured]
    dots = [(step, loss) for step, loss in measured if is_drawn(loss)]
    all_points = [*points, *dots]
    if len(all_points) < 2:
        return None
    first_step, last_step = min(step for step, _ in all_points), max(step for step, _ in all_points)
    scale = draw_scale([float(loss or 0.0) for _, loss in all_points], (_BOTTOM, _TOP), as_figure)

    def place(step: int, loss: float | None) -> tuple[float, float]:
        share = (step - first_step) / max(last_step - first_step, 1)
        return round(_LEFT + share * (_RIGHT - _LEFT), 1), round(scale.place(float(loss or 0.0)), 1)

    return Curve(
        ticks=scale.ticks,
        path=path_of([place(step, loss) for step, loss in points]),
        dots=tuple((*place(step, loss), f"step {step}: {as_figure(loss)}") for step, loss in dots),
        first=first_step,
        last=last_step,
    )
