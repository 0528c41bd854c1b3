"""A training that runs, for people who watch: how far it is, and the course of its loss."""

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
    """A loss over the steps, in the units of a picture."""

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
        found: Its task, and why its progress cannot be read, if so.
        progress: How far it is; None if that cannot be read.
        runs: Whether it goes on.
        seconds_left: At its speed; None if that is not known.
        curve: The course of its loss; None before there are two points.
        names: The metrics that its evaluations have measured.
        tensorboard: The link to its curves; empty if there is none.
    """

    found: TaskRecord
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
        records: How far they are, as the tasks left it.
        states: Each task's state.
    """
    return tuple(_describe(found, states.get((found.task_id, found.map_index), "")) for found in records)


def _describe(found: TaskRecord, state: str) -> WatchedTraining:
    progress = found.record
    if not isinstance(progress, TrainingProgress):
        return WatchedTraining(found=found, progress=None, runs=state in _RUNNING)
    rate, left = progress.steps_per_second, progress.steps - progress.step
    url = tensorboard_url(progress.model, progress.run, progress.uri)
    return WatchedTraining(
        found=found,
        progress=progress,
        runs=state in _RUNNING,
        seconds_left=left / rate if rate and left > 0 else None,
        curve=_draw(progress),
        names=tuple(sorted({name for one in progress.measured for name in one.metrics})),
        # The setting is the deployment's; what the record says is only filled in.
        tensorboard=url if url.startswith(("https://", "http://", "/")) else "",
    )


def _draw(progress: TrainingProgress) -> Curve | None:
    points = [(point.step, point.loss) for point in progress.losses if is_drawn(point.loss)]
    measured = [(one.step, one.metrics.get("loss")) for one in progress.measured]
    dots = [(step, loss) for step, loss in measured if is_drawn(loss)]
    everything = [*points, *dots]
    if len(everything) < 2:
        return None
    first, last = min(step for step, _ in everything), max(step for step, _ in everything)
    scale = draw_scale([float(loss or 0.0) for _, loss in everything], (_BOTTOM, _TOP), as_figure)

    def at(step: int, loss: float | None) -> tuple[float, float]:
        share = (step - first) / max(last - first, 1)
        return round(_LEFT + share * (_RIGHT - _LEFT), 1), round(scale.place(float(loss or 0.0)), 1)

    return Curve(
        ticks=scale.ticks,
        path=path_of([at(step, loss) for step, loss in points]),
        dots=tuple((*at(step, loss), f"step {step}: {as_figure(loss)}") for step, loss in dots),
        first=first,
        last=last,
    )
