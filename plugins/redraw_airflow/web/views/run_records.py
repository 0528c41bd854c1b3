"""The records that the tasks of a run left in Airflow's database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, case, cast, func, select
from sqlalchemy.orm import Session

from redraw.errors import InvalidRecord, RedrawError
from redraw.records import (
    Checkpoint,
    ExportedModel,
    LivePointer,
    Record,
    Release,
    Rollout,
    TrainingRun,
    ValidationReport,
)
from redraw.records.failure import StageFailure
from redraw.records.progress import TrainingProgress
from redraw.records.reexport import ReexportReport
from redraw.records.results import AnswerComparison, PruneReport
from redraw_airflow.operators.failures import FAILURE_KEY
from redraw_airflow.operators.progress import PROGRESS_KEY
from redraw_airflow.web.compat import DagRun, TaskInstance, XComModel

_KINDS: Mapping[str, type[Record]] = {
    kind.__name__: kind
    for kind in (
        TrainingRun,
        Checkpoint,
        ExportedModel,
        ValidationReport,
        Release,
        LivePointer,
        Rollout,
        PruneReport,
        AnswerComparison,
        ReexportReport,
        StageFailure,
        TrainingProgress,
    )
}
# The XComs with a task's record: what it returns, or its summary or report if it failed.
_RETURNED = "return_value"
RECORD_KEYS = ("summary", _RETURNED, "report")
# The most XComs that are read; a run may have thousands of mapped tasks.
_BOUND = 500
# The longest record, in characters of JSON.
_MOST_TEXT = 2_000_000


@dataclass(frozen=True, kw_only=True)
class TaskPlace:
    """A run, or a task of a run.

    Attributes:
        dag_id: The DAG's id.
        run_id: The run's id.
        task_id: The task's id; None for all of the run.
        map_index: The number of a mapped task; -1 for other tasks.
    """

    dag_id: str
    run_id: str
    task_id: str | None = None
    map_index: int = -1


@dataclass(frozen=True, kw_only=True)
class TaskRecord:
    """The record that a task left.

    Attributes:
        task_id: The task's id.
        map_index: The number of a mapped task; -1 for other tasks.
        kind: The record's class.
        record: The record; None if it cannot be read.
        problem: Why it cannot be read; empty if it can.
    """

    task_id: str
    map_index: int
    kind: str
    record: Record | None
    problem: str = ""


def find_records(session: Session, place: TaskPlace) -> tuple[TaskRecord, ...]:
    """Find the records of a run or of one of its tasks, one for each task, in the order of their times.

    If a summary of many tasks is among them, the reports that it sums up are left out.

    Returns:
        The records, some hundreds at most; none if the run has no task of Redraw's operators.
    """
    record_of: dict[tuple[str, int], TaskRecord] = {}
    summed_up = False
    for row in _rows(session, place, RECORD_KEYS):
        record = _read(row)
        if record is None or (summed_up and row.key == "report"):
            continue
        summed_up = summed_up or row.key == "summary"
        record_of.setdefault((row.task_id, row.map_index), record)
    return tuple(record_of.values())


def find_failures(session: Session, place: TaskPlace) -> Mapping[tuple[str, int], TaskRecord]:
    """The failures that tasks left, by task and number; a task that was killed left none."""
    records = (_read(row) for row in _rows(session, place, (FAILURE_KEY,)))
    return {(record.task_id, record.map_index): record for record in records if record is not None}


def find_progress(session: Session, place: TaskPlace) -> tuple[TaskRecord, ...]:
    """The progress of the trainings of a run."""
    records = map(_read, _rows(session, place, (PROGRESS_KEY,)))
    return tuple(record for record in records if record is not None)


def find_conf(session: Session, place: TaskPlace) -> Mapping[str, Any]:
    """The parameters of a run; none if the run does not exist."""
    query = select(DagRun.conf).where(DagRun.dag_id == place.dag_id, DagRun.run_id == place.run_id)
    conf = session.execute(query).scalar()
    return conf if isinstance(conf, Mapping) else {}


def _rows(session: Session, place: TaskPlace, keys: Sequence[str]) -> Iterator[Any]:
    """The XComs with these keys, in the order of the keys, as text."""
    order = case({key: number for number, key in enumerate(keys)}, value=XComModel.key)
    # As text: too large ones are not read, and Airflow's own decoder would construct objects.
    value_text = cast(XComModel.value, Text)
    text = case((func.length(value_text) <= _MOST_TEXT, value_text), else_=None).label("text")
    query = (
        select(XComModel.task_id, XComModel.map_index, XComModel.key, text)
        .where(XComModel.dag_id == place.dag_id, XComModel.run_id == place.run_id)
        .where(XComModel.key.in_(keys))
        .order_by(order, XComModel.timestamp, XComModel.map_index)
        .limit(_BOUND)
    )
    if place.task_id is not None:
        query = query.where(XComModel.task_id == place.task_id, XComModel.map_index == place.map_index)
    yield from session.execute(query)


def find_states(session: Session, place: TaskPlace) -> Mapping[tuple[str, int], str]:
    """The states of a run's tasks, or of one, by task and number; tasks that never started have none."""
    query = select(TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state).where(
        TaskInstance.dag_id == place.dag_id, TaskInstance.run_id == place.run_id
    )
    if place.task_id is not None:
        query = query.where(TaskInstance.task_id == place.task_id, TaskInstance.map_index == place.map_index)
    return {
        (row.task_id, row.map_index): str(row.state)
        for row in session.execute(query.limit(_BOUND))
        if row.state is not None
    }


def _read(row: Any) -> TaskRecord | None:
    """The record in an XCom; None if it contains something else."""
    kind, record, problem = "record of an unknown stage", None, ""
    try:
        value = plain_json(row.text)
        class_name = value.get("record") if isinstance(value, Mapping) else None
        if not isinstance(class_name, str) or class_name not in _KINDS:
            return None
        kind = class_name
        record = _KINDS[class_name].from_json(value)
    except (RedrawError, ValueError, RecursionError) as err:
        # Another release of Redraw, or any task, may have written it.
        problem = str(err)
    return TaskRecord(task_id=row.task_id, map_index=row.map_index, kind=kind, record=record, problem=problem)


def plain_json(text: str | None) -> Any:
    """Parse the text of an XCom; Airflow may have stored JSON inside a JSON string."""
    if text is None:
        raise InvalidRecord(f"XCom: expected at most {_MOST_TEXT} characters, got more. See the task's log.")
    value = json.loads(text)
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value
