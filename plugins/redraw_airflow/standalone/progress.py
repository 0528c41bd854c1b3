"""Show a run's tasks while they run: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from redraw_airflow.standalone.airflow_api import AirflowApi, DagRun, LogLine, TaskState
from redraw_airflow.standalone.errors import EmbeddedError

_PAUSE_SECONDS = 1.0
_COLOURS = {"running": "cyan", "success": "green", "failed": "red", "up_for_retry": "yellow"}


@dataclass(frozen=True, kw_only=True)
class _Row:
    task: TaskState
    line: str


_Show = Callable[[list[_Row]], None]


def watch_run(api: AirflowApi, dag_id: str, run: DagRun, console: Console, check: Callable[[], None]) -> None:
    """Show the run until it has ended.

    Args:
        api: The client of its Airflow.
        dag_id: Its DAG.
        run: The run.
        console: Where to show it.
        check: Called at each poll; raises if the run can no longer continue.

    Raises:
        EmbeddedError: A task failed; its error line is the message.
    """
    with _display(console) as show:
        rows: dict[str, _Row] = {}
        while True:
            state = api.dag_run(dag_id, run.run_id).state
            tasks = api.tasks(dag_id, run.run_id)
            rows = {task.task_id: _row(api, dag_id, run, task, rows) for task in tasks}
            show(list(rows.values()))
            if state in ("success", "failed"):
                break
            check()
            time.sleep(_PAUSE_SECONDS)
    if state == "failed":
        raise _failure(api, dag_id, run, tasks)


def _row(api: AirflowApi, dag_id: str, run: DagRun, task: TaskState, rows: dict[str, _Row]) -> _Row:
    before = rows.get(task.task_id)
    settled = before is not None and before.task == task and task.state != "running"
    if before is not None and settled:
        return before
    lines = _stage_lines(api, dag_id, run, task)
    if task.state not in ("failed", "up_for_retry"):
        # Other loggers report errors that do not fail the task, such as a bundle without its connection.
        lines = [line for line in lines if line.source.startswith("redraw.")]
    return _Row(task=task, line=_last_line(lines[-1]) if lines else "")


def _stage_lines(api: AirflowApi, dag_id: str, run: DagRun, task: TaskState) -> list[LogLine]:
    """The lines that the stage of the task's current try logged, and those with exceptions."""
    if task.try_number == 0:
        return []
    lines = api.log(dag_id, run.run_id, task)
    return [
        line for line in lines if line.exception or (line.source.startswith("redraw.") and line.text.strip())
    ]


def _last_line(line: LogLine) -> str:
    return (line.exception or line.text).strip().splitlines()[-1].strip()


def _failure(api: AirflowApi, dag_id: str, run: DagRun, tasks: list[TaskState]) -> EmbeddedError:
    failed = [task for task in tasks if task.state == "failed"]
    if not failed:
        return EmbeddedError(f"run {run.run_id}: the run failed. Look at the run in Airflow's UI.")
    reasons = [line.exception for line in _stage_lines(api, dag_id, run, failed[0]) if line.exception]
    reason = reasons[-1] if reasons else "failed, and its log has no error. Look at the task in Airflow's UI."
    summary, *more = reason.strip().splitlines()
    return EmbeddedError(f"task {failed[0].task_id}: {summary}", tuple(more))


@contextmanager
def _display(console: Console) -> Iterator[_Show]:
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            yield lambda rows: live.update(_table(rows), refresh=True)
    else:
        yield _PlainLines(console).show


def _table(rows: list[_Row]) -> Table:
    table = Table(box=None, expand=True, pad_edge=False)
    table.add_column("Task", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Seconds", justify="right", no_wrap=True)
    table.add_column("Last log line", ratio=1, no_wrap=True, overflow="ellipsis")
    for row in rows:
        state = Text(row.task.state, style=_COLOURS.get(row.task.state, "dim"))
        table.add_row(row.task.task_id, state, f"{row.task.seconds:.1f}", Text(row.line, style="dim"))
    return table


class _PlainLines:
    """A line when a task's state changes, and one when a running task logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[str, tuple[str, str]] = {}

    def show(self, rows: list[_Row]) -> None:
        for row in rows:
            state = (row.task.state, row.line)
            if row.task.state != "none" and self._shown.get(row.task.task_id) != state:
                self._shown[row.task.task_id] = state
                text = f"{row.task.task_id:<10} {row.task.state:<9} {row.task.seconds:6.1f} s  {row.line}"
                self._console.print(Text(text.rstrip()), soft_wrap=True)
