"""Measure a backfill of `reexport_checkpoints` with 1, 2 and 4 Celery workers, in exports a minute.

Each interval is a day with one checkpoint of the model that ships: a batch of one, the most expensive kind.
The workers that have TensorFlow run one task at a time; one more worker runs the small tasks. All are on this
machine, so more workers than cores only use the time that one leaves idle.
`REDRAW_BENCH_INTERVALS` sets the number of days (12 by default, at least 2).
"""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from statistics import median

from benchmarks.backfill import FIRST_DAY, vary_checkpoints
from benchmarks.clusters import BenchCluster, open_cluster
from benchmarks.days import Days, Span
from benchmarks.harness import Comparison, Run, Series, take_turns
from benchmarks.workshop import MODEL, Workshop

__all__ = ["Alone", "Backfills", "measure_workers", "run_backfills"]

_DAG, _TASK = "reexport_checkpoints", "reexport"
_WORKERS = (1, 2, 4)
_MOST_TURNS = 3
_INTERVALS = int(os.environ.get("REDRAW_BENCH_INTERVALS", "12"))
_WARM_UP = 2
_SMALL_TASKS = 4


@dataclass(frozen=True, kw_only=True)
class Alone:
    """The cost of a task with one checkpoint for a single worker that always has a next task.

    Attributes:
        task_seconds: From its start to its end, with Airflow's process and the stage's with its imports.
        gap_seconds: From its end to the start of the next task.
        cpu_seconds: The processor time of Airflow and of the stages, for all three tasks of a run.
    """

    task_seconds: float
    gap_seconds: float
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class Backfills:
    """The backfills by number of workers, and the cost of a task for a single worker."""

    series: tuple[Series, ...]
    alone: Alone


def measure_workers(workshop: Workshop) -> tuple[Comparison, ...]:
    """Backfill the same number of days with each number of workers, in turns."""
    backfills = run_backfills(workshop)
    rates = {series.way: 60 * _INTERVALS / series.seconds for series in backfills.series}
    base_rate = next(iter(rates.values()))
    notes = {
        f"{way}, exports a minute": f"{rate:.1f} ({rate / base_rate:.2f})" for way, rate in rates.items()
    }
    notes["a task with one checkpoint, one worker"] = f"{backfills.alone.task_seconds:.1f} s"
    notes["from one task to the next, one worker"] = f"{backfills.alone.gap_seconds:.2f} s"
    notes["processor time a run, one worker"] = f"{backfills.alone.cpu_seconds:.1f} s"
    title = f"A backfill of {_INTERVALS} days of {_DAG}, each with one checkpoint of {MODEL}"
    return (Comparison(title=title, series=backfills.series, notes=notes),)


@functools.cache
def run_backfills(workshop: Workshop) -> Backfills:
    """Run the backfills, once for each workshop."""
    turns = min(workshop.turns, _MOST_TURNS)
    catalogue = f"{workshop.settings.checkpoint_bucket}/days"
    # This process uses the storage server, too.
    os.environ["STORAGE_EMULATOR_HOST"] = workshop.settings.gcs_url
    vary_checkpoints(workshop, catalogue, turns * len(_WORKERS) * _INTERVALS + _WARM_UP)
    conf = {"model": MODEL, "catalogue": catalogue, "bucket": f"{workshop.settings.model_bucket}/days"}
    with open_cluster(workshop) as running:
        running.wait_for_dag(_DAG)
        running.start_workers("default", ["small-tasks"], _SMALL_TASKS)
        days = Days(running, dag_id=_DAG, task_id=_TASK, first=FIRST_DAY, conf=conf)
        crews = _Crews(say=workshop.say, running=running, days=days)
        crews.backfill(1, _WARM_UP)
        ways = {f"workers: {size}": partial(crews.backfill, size, _INTERVALS) for size in _WORKERS}
        series = take_turns(ways, turns, warm_up=False)
    return Backfills(series=series, alone=_alone(crews.spans[1][1:], series[0]))


@dataclass(kw_only=True)
class _Crews:
    """Workers of the queue for TensorFlow, new ones for each backfill.

    Attributes:
        say: Called with a line for each step.
        running: The cluster.
        days: The days to backfill.
        spans: The times of the tasks of each backfill, by the number of workers.
        names: The names of new workers.
    """

    say: Callable[[str], None]
    running: BenchCluster
    days: Days
    spans: dict[int, list[list[Span]]] = field(default_factory=lambda: defaultdict(list))
    names: Iterator[str] = field(default_factory=lambda: map("tensorflow-{}".format, itertools.count(1)))

    def backfill(self, size: int, count: int) -> Run:
        """Backfill some days with a number of workers, whose start is not counted."""
        self.say(f"{count} days, workers: {size}.")
        cluster, workers = self.running.cluster, list(itertools.islice(self.names, size))
        self.running.start_workers("tensorflow", workers, 1)
        cpu_before, start = cluster.cpu_seconds(), time.perf_counter()
        self.spans[size].append(self.days.backfill(count))
        seconds, cpu = time.perf_counter() - start, cluster.cpu_seconds() - cpu_before
        self.days.settle()
        for worker in workers:
            cluster.end(worker)
        return Run(seconds=seconds, cpu_seconds=cpu)


def _alone(backfills: list[list[Span]], series: Series) -> Alone:
    tasks = [(end - start).total_seconds() for spans in backfills for start, end in spans]
    gaps = [
        (start - end).total_seconds()
        for spans in backfills
        for (_, end), (start, _) in itertools.pairwise(spans)
    ]
    return Alone(
        task_seconds=median(tasks),
        gap_seconds=median(gaps),
        cpu_seconds=(series.cpu_seconds or 0) / _INTERVALS,
    )
