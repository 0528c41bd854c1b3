"""How far a training is: what its stage logs, and what its task makes of that for people who watch.

The stage writes lines for people, by the functions here; the operator reads the same lines.
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

# As many points as a curve has room for: of more, every second one goes.
_MOST_POINTS = 240
_MOST_MEASURED = 100
_STEP = re.compile(r"step (\d{1,18})/(\d{1,18}), (\S{1,20}) steps/s, loss (\S{1,30})")
_MEASURED = re.compile(r"step (\d{1,18}): (\S.*)")
_VALUE = re.compile(r"(\S{1,200}) (not a number|\S{1,30})")


@dataclass(frozen=True, kw_only=True)
class LossPoint:
    """The loss of the last batch, at a step; None for what is no number."""

    step: Count
    loss: float | None


@dataclass(frozen=True, kw_only=True)
class MeasuredStep:
    """What an evaluation measured, after a step."""

    step: Count
    metrics: Metrics


@dataclass(frozen=True, kw_only=True)
class TrainingProgress(Record):
    """A training that runs, or how far it came.

    Attributes:
        model: The definition's name.
        run: The run's name, as TensorBoard has it.
        uri: The folder of the run.
        step: The last step that was reported.
        steps: How many there will be; 0 before the first report.
        steps_per_second: Since the report before.
        losses: The course of the loss, of at most 240 steps.
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
    """What a training logs while it goes on."""
    return f"step {step}/{steps}, {rate:.3g} steps/s, loss {loss:.4f}"


def measured_line(step: int, metrics: Metrics) -> str:
    """What it logs after an evaluation."""
    return f"step {step}: {format_metrics(metrics, '.4f')}"


def follow_line(progress: TrainingProgress, line: str) -> TrainingProgress:
    """The progress after a line of the stage's log; the same after any other line."""
    if found := _STEP.fullmatch(line):
        step, loss = int(found[1]), _number(found[4])
        before = [point for point in progress.losses if point.step < step]
        if len(before) >= _MOST_POINTS:
            before = before[::2]
        return replace(
            progress,
            step=step,
            steps=int(found[2]),
            steps_per_second=_number(found[3]),
            losses=(*before, LossPoint(step=step, loss=loss)),
        )
    if found := _MEASURED.fullmatch(line):
        metrics = {name: _number(value) for name, value in _VALUE.findall(found[2].replace(",", " "))}
        step = int(found[1])
        kept = [one for one in progress.measured if one.step < step][1 - _MOST_MEASURED :]
        return replace(
            progress,
            step=max(step, progress.step),
            measured=(*kept, MeasuredStep(step=step, metrics=metrics)),
        )
    return progress


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
