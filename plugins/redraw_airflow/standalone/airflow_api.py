"""The part of Airflow's REST API that triggers, watches and reads a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from typing import Any, Self

import httpx

from redraw_airflow.standalone.errors import EmbeddedError

_REQUEST_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class DagRun:
    """A run of a DAG: its id and its state (`queued`, `running`, `success`, `failed`)."""

    run_id: str
    state: str


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """One task of a run.

    Attributes:
        task_id: Its id.
        state: Airflow's name of the state; `none` before the task is scheduled.
        try_number: The number of the current try; 0 before the first.
        started: When the try began; None before that.
        ended: When the try ended; None before that.
    """

    task_id: str
    state: str
    try_number: int
    started: datetime | None
    ended: datetime | None

    @property
    def seconds(self) -> float:
        """How long the try took, or has taken so far."""
        if self.started is None:
            return 0.0
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line of a task's log.

    Attributes:
        source: The logger's name; a stage's begins with `redraw.`.
        text: The message.
        exception: The message of the logged exception; empty if there is none.
    """

    source: str
    text: str
    exception: str


class AirflowApi:
    """A client that is logged in to one Airflow; a context manager that closes its connections."""

    def __init__(self, url: str, user: str, password: str) -> None:
        # trust_env is off because a user's proxy cannot reach this machine's loopback.
        self._client = httpx.Client(base_url=url, timeout=_REQUEST_SECONDS, trust_env=False)
        self._login = {"username": user, "password": password}
        self._positions: dict[str, dict[str, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()

    def wait_for_dag(self, dag_id: str, seconds: float, check: Callable[[], None]) -> None:
        """Wait until the DAG's file has been read.

        Args:
            dag_id: The DAG.
            seconds: How long that may take.
            check: Called at each poll; raises if waiting is useless.

        Raises:
            EmbeddedError: The file cannot be imported, or was not read in time.
        """
        deadline = time.monotonic() + seconds
        while self._get(f"dags/{dag_id}", absent={}).get("dag_id") != dag_id:
            check()
            for error in self._get("importErrors")["import_errors"]:
                trace = tuple(error["stack_trace"].strip().splitlines())
                raise EmbeddedError(f"{error['filename']}: {trace[-1]}. Correct the DAG file.", trace)
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"DAG {dag_id}: Airflow did not list the DAG within {seconds:g} s."
                    " See the log of the dag-processor."
                )
            time.sleep(0.5)

    def trigger(
        self, dag_id: str, logical_date: str | None = None, conf: Mapping[str, object] | None = None
    ) -> DagRun:
        """Unpause the DAG, and start a run of it.

        Args:
            dag_id: The DAG.
            logical_date: The run's logical date, which the UI's form sets; None: the run has none.
            conf: Values of the DAG's parameters that replace their defaults.

        Returns:
            The new run.

        Raises:
            EmbeddedError: Airflow refuses.
        """
        self._send("PATCH", f"dags/{dag_id}", {"is_paused": False})
        body: dict[str, Any] = {"logical_date": logical_date, "conf": dict(conf or {})}
        return _run(self._send("POST", f"dags/{dag_id}/dagRuns", body))

    def dag_run(self, dag_id: str, run_id: str) -> DagRun:
        """The run's current state."""
        return _run(self._get(f"dags/{dag_id}/dagRuns/{run_id}"))

    def tasks(self, dag_id: str, run_id: str) -> list[TaskState]:
        """The current states of the run's tasks, in the order in which they run."""
        tasks = self._get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        positions = self._positions.get(dag_id, {})
        # The order is fetched once, and again only if the DAG has new tasks.
        if not positions or any(task["task_id"] not in positions for task in tasks):
            positions = self._positions[dag_id] = self._order(dag_id)
        return sorted(map(_task, tasks), key=lambda task: positions.get(task.task_id, 0), reverse=True)

    def _order(self, dag_id: str) -> dict[str, int]:
        tasks = self._get(f"dags/{dag_id}/tasks")["tasks"]
        downstream = {task["task_id"]: task["downstream_task_ids"] for task in tasks}
        # From the last task to the first.
        return {task: number for number, task in enumerate(TopologicalSorter(downstream).static_order())}

    def log(self, dag_id: str, run_id: str, task: TaskState) -> list[LogLine]:
        """The log of the task's current try so far."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task.task_id}/logs/{task.try_number}"
        content = self._get(path, absent={}).get("content", [])
        return [_log_line(item) for item in content if isinstance(item, dict)]

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """The value that the task returned.

        Raises:
            EmbeddedError: It returned nothing.
        """
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self._get(path)["value"]

    def _get(self, path: str, absent: Any = None) -> Any:
        answer = self._request("GET", path, None)
        if absent is not None and answer.status_code == httpx.codes.NOT_FOUND:
            return absent
        return _content(answer)

    def _send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        return _content(self._request(method, path, body))

    def _request(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        headers = {"Accept": "application/json"}
        try:
            answer = self._client.request(method, f"/api/v2/{path}", json=body, headers=headers)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                self._log_in()
                answer = self._client.request(method, f"/api/v2/{path}", json=body, headers=headers)
        except httpx.TransportError as err:
            raise EmbeddedError(
                f"{self._client.base_url}: expected Airflow to answer {method} {path}, got {err!r}."
                " Run 'make run' again."
            ) from err
        return answer

    def _log_in(self) -> None:
        token = _content(self._client.post("/auth/token", json=self._login))["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"


def _content(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json()
    text = " ".join(answer.text.split())
    raise EmbeddedError(
        f"{answer.request.method} {answer.request.url}: expected success, got {answer.status_code}"
        f" {text:.300}. See the log of the api-server."
    )


def _run(value: Any) -> DagRun:
    return DagRun(run_id=value["dag_run_id"], state=value["state"])


def _task(value: Any) -> TaskState:
    return TaskState(
        task_id=value["task_id"],
        state=value["state"] or "none",
        try_number=value["try_number"],
        started=_time(value["start_date"]),
        ended=_time(value["end_date"]),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _log_line(value: dict[str, Any]) -> LogLine:
    details = value.get("error_detail") or [{}]
    return LogLine(
        source=str(value.get("logger", "")),
        text=str(value.get("event", "")),
        exception=str(details[0].get("exc_value", "")),
    )
