"""Backfills of a DAG's next days, and when the tasks of one kind in them ran."""

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

# When a task began and ended.
Span = tuple[datetime, datetime]


class Days:
    """Backfills days of a DAG, each day once.

    Args:
        running: The cluster that does it.
        dag_id: The DAG.
        task_id: Its task that is looked at.
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
            count: How many.

        Returns:
            When the task ran in each of them, in the order of the starts.

        Raises:
            BenchmarkFailed: A run failed, or the task was tried twice.
        """
        first, last = (f"{day}T00:00:00Z" for day in (self._next, self._next + (count - 1)))
        self._next += count
        asked = {
            "dag_id": self._dag_id,
            "from_date": first,
            "to_date": last,
            "max_active_runs": _MOST_RUNS,
            "dag_run_conf": dict(self._conf),
        }
        self._api._send("POST", "backfills", asked)
        query = f"run_type=backfill&limit=100&logical_date_gte={first}&logical_date_lte={last}"
        path = f"dags/{self._dag_id}/dagRuns"

        def states() -> list[str]:
            self._running.cluster.check()
            return [run["state"] for run in self._api._get(f"{path}?{query}")["dag_runs"]]

        ended = {"success", "failed"}
        wait_until(lambda: sum(state in ended for state in states()) == count, "the backfill", _SECONDS, 0.5)
        if states() != ["success"] * count:
            raise BenchmarkFailed(f"backfill from {first}: expected success of all, got {states()}.")
        runs = [run["dag_run_id"] for run in self._api._get(f"{path}?{query}")["dag_runs"]]
        return sorted(self._span(f"{path}/{run}") for run in runs)

    def settle(self) -> None:
        """Wait until Airflow has closed the last backfill: it takes no other before that."""
        path = f"backfills?dag_id={self._dag_id}&limit=100"
        wait_until(
            lambda: all(one["completed_at"] for one in self._api._get(path)["backfills"]),
            "the backfill's end",
            _SECONDS,
            0.5,
        )

    def _span(self, run: str) -> Span:
        found: list[Any] = [
            task
            for task in self._api._get(f"{run}/taskInstances")["task_instances"]
            if task["task_id"] == self._task_id
        ]
        if [task["try_number"] for task in found] != [1]:
            raise BenchmarkFailed(f"{run}: expected one task {self._task_id} in one try, got {found}.")
        return datetime.fromisoformat(found[0]["start_date"]), datetime.fromisoformat(found[0]["end_date"])
