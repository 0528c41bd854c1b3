"""Backfills of a DAG's next days, and the times of one of its tasks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from benchmarks.clusters import BenchCluster
from benchmarks.harness import BenchmarkFailed, wait_until

__all__ = ["Days", "Span"]

_MOST_RUNS = 8
_SECONDS = 1800.0

# The start and the end of a task.
Span = tuple[datetime, datetime]


class Days:
    """Backfills days of a DAG, each day once.

    Args:
        running: The cluster.
        dag_id: The DAG.
        task_id: The task to time.
        first: The first day.
        conf: Values of its parameters.
    """

    def __init__(
        self,
        running: BenchCluster,
        *,
        dag_id: str,
        task_id: str,
        first: np.datetime64,
        conf: Mapping[str, object],
    ) -> None:
        self._running, self._api = running, running.api
        self._dag_id, self._task_id = dag_id, task_id
        self._next, self._conf = first, conf
        self._api._send("PATCH", f"dags/{dag_id}", {"is_paused": False})

    def backfill(self, count: int) -> list[Span]:
        """Backfill the next days.

        Args:
            count: The number of days.

        Returns:
            The times of the task in each of them, in the order of the starts.

        Raises:
            BenchmarkFailed: A run failed, or the task was retried.
        """
        start_date, end_date = (f"{day}T00:00:00Z" for day in (self._next, self._next + (count - 1)))
        self._next += count
        request = {
            "dag_id": self._dag_id,
            "from_date": start_date,
            "to_date": end_date,
            "max_active_runs": _MOST_RUNS,
            "dag_run_conf": dict(self._conf),
        }
        self._api._send("POST", "backfills", request)
        query = f"run_type=backfill&limit=100&logical_date_gte={start_date}&logical_date_lte={end_date}"
        path = f"dags/{self._dag_id}/dagRuns"

        def states() -> list[str]:
            self._running.cluster.check()
            return [run["state"] for run in self._api._get(f"{path}?{query}")["dag_runs"]]

        end_states = {"success", "failed"}
        wait_until(
            lambda: sum(state in end_states for state in states()) == count, "the backfill", _SECONDS, 0.5
        )
        if states() != ["success"] * count:
            raise BenchmarkFailed(f"backfill from {start_date}: expected success of all, got {states()}.")
        runs = [run["dag_run_id"] for run in self._api._get(f"{path}?{query}")["dag_runs"]]
        return sorted(self._span(f"{path}/{run}") for run in runs)

    def settle(self) -> None:
        """Wait until Airflow has closed the last backfill, because it accepts no other before that."""
        path = f"backfills?dag_id={self._dag_id}&limit=100"
        wait_until(
            lambda: all(backfill["completed_at"] for backfill in self._api._get(path)["backfills"]),
            "the backfill's end",
            _SECONDS,
            0.5,
        )

    def _span(self, run: str) -> Span:
        tasks: list[Any] = [
            task
            for task in self._api._get(f"{run}/taskInstances")["task_instances"]
            if task["task_id"] == self._task_id
        ]
        if [task["try_number"] for task in tasks] != [1]:
            raise BenchmarkFailed(f"{run}: expected one task {self._task_id} in one try, got {tasks}.")
        return datetime.fromisoformat(tasks[0]["start_date"]), datetime.fromisoformat(tasks[0]["end_date"])
