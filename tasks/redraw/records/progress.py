"""The progress of a training: the log lines of its stage, and a record that its task makes of them.

The stage logs lines for people with the functions here; the operator parses the same lines.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from redraw.names import ModelName
from redraw.records.base import Record
from redraw.records.forms import Count, ShortText
from redraw.records.making import Metrics, format_metrics
from redraw.uri import Uri

# The most points of a curve; if there are more, every second one is dropped.
_MOST_POINTS = 240
_MOST_MEASURED = 100
_STEP = re.compile(r"step (\d{1,18})/(\d{1,18}), (\S{1,20}) steps/s, loss (\S{1,30})")
_MEASURED = re.compile(r"step (\d{1,18}): (\S.*)")
_VALUE = re.compile(r"(\S{1,200}) (not a number|\S{1,30})")


@dataclass(frozen=True, kw_only=True)
class LossPoint:
    """The loss of the last batch at a step; None if it is no number."""

    step: Count
    loss: float | None


@dataclass(frozen=True, kw_only=True)
class MeasuredStep:
    """The metrics of an evaluation after a step."""

    step: Count
    metrics: Metrics


@dataclass(frozen=True, kw_only=True)
class TrainingProgress(Record):
    """The progress of a training.

    Attributes:
        model: The definition's name.
        run: The run's name, as in TensorBoard.
        uri: The folder of the run.
        step: The last step that was reported.
        steps: The total number of steps; 0 before the first report.
        steps_per_second: Since the report before.
        losses: The loss at up to 240 steps.
        measured: The last evaluations, at most 100.
    """

    model: ModelName
    run: ShortText
    uri: Uri
    step: Count = 0
    steps: Count = 0
    steps_per_second: float | None = None
    losses: tuple[LossPoint, ...] = ()
    measured: tuple[MeasuredStep, ...] = ()


def step_line(step: int, steps: int, rate: float, loss: float) -> str:
    """The log line of a training step."""
    return f"step {step}/{steps}, {rate:.3g} steps/s, loss {loss:.4f}"


def measured_line(step: int, metrics: Metrics) -> str:
    """The log line of an evaluation."""
    return f"step {step}: {format_metrics(metrics, '.4f')}"


def follow_line(progress: TrainingProgress, line: str) -> TrainingProgress:
    """The progress after a line of the stage's log; other lines change nothing."""
    if match := _STEP.fullmatch(line):
        step, loss = int(match[1]), _number(match[4])
        before = [point for point in progress.losses if point.step < step]
        if len(before) >= _MOST_POINTS:
            before = before[::2]
        return replace(
            progress,
            step=step,
            steps=int(match[2]),
            steps_per_second=_number(match[3]),
            losses=(*before, LossPoint(step=step, loss=loss)),
        )
    if match := _MEASURED.fullmatch(line):
        metrics = {name: _number(value) for name, value in _VALUE.findall(match[2].replace(",", " "))}
        step = int(match[1])
        earlier = [point for point in progress.measured if point.step < step][1 - _MOST_MEASURED :]
        return replace(
            progress,
            step=max(step, progress.step),
            measured=(*earlier, MeasuredStep(step=step, metrics=metrics)),
        )
    return progress


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
