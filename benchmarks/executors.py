"""Measure `retrain_and_export` under Celery versus LocalExecutor, and the share of scheduling in a run.

Both use the same database, API server, DAG processor, storage and workers, which are idle under
LocalExecutor. Only the scheduler is restarted for each turn. The model trains quickly, so that Airflow's
share is visible.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from statistics import median

from benchmarks.clusters import CELERY, LOCAL, BenchCluster, open_cluster
from benchmarks.dag_runs import TimedRun, time_run
from benchmarks.harness import Comparison, Run, take_turns
from benchmarks.workshop import Workshop

__all__ = ["measure_executors"]

_DAG = "retrain_and_export"
_MODEL = "dense_line"
_MOST_TURNS = 3
# Slots of each queue's worker; LocalExecutor has as many in all.
_SLOTS = 2


def measure_executors(workshop: Workshop) -> tuple[Comparison, ...]:
    """Run the DAG under each executor in turns; the first turn is not counted."""
    runs_of: dict[str, list[TimedRun]] = {LOCAL: [], CELERY: []}
    with open_cluster(workshop) as running:
        for queue in ("tensorflow", "default"):
            running.start_workers(queue, [queue], _SLOTS)
        running.wait_for_dag(_DAG)
        numbers = itertools.count(1)
        ways = {
            executor: _running(workshop, running, executor, runs, numbers)
            for executor, runs in runs_of.items()
        }
        series = take_turns(ways, min(workshop.turns, _MOST_TURNS))
    notes = {
        f"{executor}, {name}": value for executor, runs in runs_of.items() for name, value in _notes(runs[1:])
    }
    return (Comparison(title=f"A run of {_DAG} of the sample model {_MODEL}", series=series, notes=notes),)


def _running(
    workshop: Workshop,
    running: BenchCluster,
    executor: str,
    runs: list[TimedRun],
    numbers: itertools.count[int],
) -> Callable[[], Run]:
    def run() -> Run:
        workshop.say(f"{_DAG} under {executor}.")
        running.restart_scheduler(executor, slots=2 * _SLOTS)
        # New places, because a published export would not be published again.
        place, settings = f"run-{next(numbers)}", workshop.settings
        conf = {
            "model": _MODEL,
            "bucket": f"{settings.model_bucket}/{place}",
            "catalogue": f"{settings.checkpoint_bucket}/{place}",
        }
        cpu_before = running.cluster.cpu_seconds()
        runs.append(time_run(running.api, _DAG, conf, running.cluster.check))
        return Run(seconds=runs[-1].seconds, cpu_seconds=running.cluster.cpu_seconds() - cpu_before)

    return run


def _notes(runs: list[TimedRun]) -> list[tuple[str, str]]:
    tasks = median(sum(run.tasks.values()) for run in runs)
    idle = median(run.idle_seconds for run in runs)
    share = median(run.idle_seconds / run.seconds for run in runs)
    per_task = median(run.idle_seconds / len(run.tasks) for run in runs)
    return [
        ("sum of the tasks", f"{tasks:.1f} s"),
        ("time in which no task ran", f"{idle:.1f} s, {share:.0%} of the run, {per_task:.2f} s a task"),
    ]
