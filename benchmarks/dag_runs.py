"""Time a run of a DAG: its tasks, and the waits before them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.harness import BenchmarkFailed, wait_until
from redraw_airflow.standalone.airflow_api import AirflowApi, TaskState

__all__ = ["TimedRun", "time_run"]

_POLL_SECONDS = 0.25
_SECONDS = 1800.0


@dataclass(frozen=True, kw_only=True)
class TimedRun:
    """One run of a DAG whose tasks follow one another.

    Attributes:
        seconds: From the trigger until the end is observed.
        tasks: Task to its duration in Airflow's database.
        waits: Task to the time from the trigger, or from the end of the last task, to its start.
    """

    seconds: float
    tasks: Mapping[str, float]
    waits: Mapping[str, float]

    @property
    def idle_seconds(self) -> float:
        """The time of the run in which no task ran."""
        return self.seconds - sum(self.tasks.values())


def time_run(api: AirflowApi, dag_id: str, conf: Mapping[str, object], check: Callable[[], None]) -> TimedRun:
    """Run a DAG until it succeeds.

    Args:
        api: The API of the Airflow that runs it.
        dag_id: The DAG.
        conf: Values of its parameters.
        check: Called at each poll; raises if waiting is useless.

    Returns:
        The run's times.

    Raises:
        BenchmarkFailed: The run failed, or a task was retried.
    """
    triggered, start_time = datetime.now(UTC), time.perf_counter()
    run = api.trigger(dag_id, conf=conf)

    def state() -> str:
        check()
        return api.dag_run(dag_id, run.run_id).state

    wait_until(lambda: state() in ("success", "failed"), f"the end of {run.run_id}", _SECONDS, _POLL_SECONDS)
    seconds = time.perf_counter() - start_time
    tasks = api.tasks(dag_id, run.run_id)
    if state() != "success" or any(task.try_number > 1 for task in tasks):
        states = ", ".join(f"{task.task_id} {task.state} (try {task.try_number})" for task in tasks)
        raise BenchmarkFailed(
            f"run {run.run_id}: expected success at the first try of each task, got {states}."
        )
    spans = _spans(tasks)
    ends = [triggered, *(end for _, end in spans.values())]
    return TimedRun(
        seconds=seconds,
        tasks={name: (end - start).total_seconds() for name, (start, end) in spans.items()},
        waits={
            name: (start - before).total_seconds()
            for before, (name, (start, _)) in zip(ends, spans.items(), strict=False)
        },
    )


def _spans(tasks: list[TaskState]) -> dict[str, tuple[datetime, datetime]]:
    """The start and the end of each task that ran, in order; skipped tasks are left out."""
    return {
        task.task_id: (task.started, task.ended)
        for task in tasks
        if task.try_number and task.started is not None and task.ended is not None
    }
