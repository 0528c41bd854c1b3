"""Estimate the cost of 10,000 exports a day from the measured cost of a few.

A batch of one is measured in Airflow, with one worker that always has a next task. The cost of each further
checkpoint is the difference of a batch of 100 and one of 10, by hand. `estimate.py` has the formula.
"""

from __future__ import annotations

from benchmarks.backfill import run_batches
from benchmarks.estimate import Costs, estimate_day
from benchmarks.harness import Comparison, Run, Series
from benchmarks.workers import run_backfills
from benchmarks.workshop import MODEL, Workshop

__all__ = ["measure_day"]

_EXPORTS = 10_000
_BATCH_SIZES = (1, 10, 50, 100)


def measure_day(workshop: Workshop) -> tuple[Comparison, ...]:
    """Estimate the cost of a day by the size of its batches."""
    further = run_batches(workshop).further
    alone = run_backfills(workshop).alone
    costs = Costs(
        first=alone.task_seconds + alone.gap_seconds,
        further=further.seconds,
        first_cpu=alone.cpu_seconds,
        further_cpu=further.cpu_seconds or 0,
    )
    series = (
        Series(
            way="a batch of one, in Airflow", runs=(Run(seconds=costs.first, cpu_seconds=costs.first_cpu),)
        ),
        Series(way="each checkpoint more", runs=(Run(seconds=costs.further, cpu_seconds=costs.further_cpu),)),
    )
    notes = {
        "of a batch of one, from one task to the next": f"{alone.gap_seconds:.2f} s",
        **{f"batches of {size}": _note(costs, size) for size in _BATCH_SIZES},
    }
    title = f"{_EXPORTS:,} exports of {MODEL} a day: what they are calculated from, and what they take"
    return (Comparison(title=title, series=series, notes=notes),)


def _note(costs: Costs, size: int) -> str:
    day = estimate_day(costs, _EXPORTS, size)
    return (
        f"{day.batches:,} tasks, {day.worker_hours:.1f} worker-hours (workers: {day.workers}),"
        f" {day.core_hours:.1f} core-hours (cores: {day.cores})"
    )
