"""The runs that did something with a model, whatever DAG they are of: by what their tasks have left."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, cast, func, select
from sqlalchemy.orm import Session

from redraw.records.times import format_time
from redraw_airflow.operators.failures import FAILURE_KEY
from redraw_airflow.web.compat import DagRun, XComModel
from redraw_airflow.web.views.run_records import RECORD_KEYS, plain_json

# Of an Airflow that has many, the newest are looked through, and of those so many tasks' records.
_RUNS = 20_000
_RECORDS = 4_000
# A record says early what it is of; a failure is read as a whole.
_HEAD = 4_096
_FAILURE = 20_000
# JSON, or JSON in a text of JSON.
_MODEL = re.compile(r'\\?"model\\?": ?\\?"([a-z][a-z0-9_]{0,63})\\?"')


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """The newest run of a model.

    Attributes:
        dag_id: The DAG's.
        run_id: Airflow's.
        state: `queued`, `running`, `success` or `failed`.
        started_at: In UTC, `YYYY-MM-DDTHH:MM:SSZ`; None before it starts.
    """

    dag_id: str
    run_id: str
    state: str
    started_at: str | None


@dataclass(frozen=True, kw_only=True)
class LastFailure:
    """The newest failure of a task of Redraw's: the run, the error's name and what it says."""

    run: LastRun
    error: str
    message: str


@dataclass(frozen=True, kw_only=True)
class ModelRuns:
    """What Airflow's database knows of a model.

    Attributes:
        last: The newest run; None if there was none.
        failure: The newest failure that left a reason; None without one, or if the newest run succeeded.
        dags: The DAGs whose tasks left records of it.
    """

    last: LastRun | None = None
    failure: LastFailure | None = None
    dags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Left:
    """A record that a task has left: of which run it is, by its number, and its text."""

    number: int
    dag_id: str
    key: str
    text: str


def find_model_runs(
    session: Session, publishers: Mapping[str, Collection[str]], may_read: Callable[[str], bool]
) -> Mapping[str, ModelRuns]:
    """Find the runs of each model.

    Args:
        session: Of Airflow's database.
        publishers: Model to the DAGs that publish it, as the release records and the settings name them.
        may_read: Whether who asks may read a DAG; runs of others are left out.

    Returns:
        Model to what was found. A run counts if a task of it left a record of the model, or if its parameters
        name the model and its DAG publishes it; one that names none counts if
        its DAG publishes no other, and no task of it left a record.
    """
    left: dict[str, list[_Left]] = {model: [] for model in publishers}
    seen = set[int]()
    for model, record in _records(session):
        seen.add(record.number)
        if model in left and may_read(record.dag_id):
            left[model].append(record)
    newest = {model: max((record.number for record in records), default=0) for model, records in left.items()}
    for model, number, is_named in _named_runs(session, publishers, may_read):
        if is_named or number not in seen:
            newest[model] = max(newest[model], number)
    failures = {model: [one for one in records if one.key == FAILURE_KEY] for model, records in left.items()}
    failed = {model: max(some, key=lambda one: one.number, default=None) for model, some in failures.items()}
    runs = _runs(session, {*newest.values(), *(one.number for one in failed.values() if one)})
    return {
        model: ModelRuns(
            last=runs.get(newest[model]),
            failure=_failure(runs, newest[model], failed[model]),
            dags=frozenset(record.dag_id for record in records),
        )
        for model, records in left.items()
    }


def _records(session: Session) -> Iterator[tuple[str, _Left]]:
    """The newest records of Redraw's that tasks have left, with the model that each is of."""
    whole = cast(XComModel.value, Text)
    least = select(func.coalesce(func.max(DagRun.id), 0) - _RUNS).scalar_subquery()
    query = (
        select(XComModel.dag_run_id, XComModel.dag_id, XComModel.key, func.substr(whole, 1, _FAILURE))
        .where(XComModel.dag_run_id > least, XComModel.key.in_((*RECORD_KEYS, FAILURE_KEY)))
        .where(whole.like('%"record%'), whole.like('%"model%'))
        .order_by(XComModel.dag_run_id.desc())
        .limit(_RECORDS)
    )
    for number, dag_id, key, text in session.execute(query):
        if found := _MODEL.search(text, 0, _FAILURE if key == FAILURE_KEY else _HEAD):
            yield found[1], _Left(number, dag_id, key, text)


def _named_runs(
    session: Session, publishers: Mapping[str, Collection[str]], may_read: Callable[[str], bool]
) -> Iterator[tuple[str, int, bool]]:
    """The newest run of each DAG that publishes, by its model, and whether its parameters name that."""
    models: dict[str, list[str]] = {}
    for model, dag_ids in publishers.items():
        for dag_id in dag_ids:
            models.setdefault(dag_id, []).append(model)
    readable = [dag_id for dag_id in models if may_read(dag_id)]
    named = DagRun.conf["model"].as_string()
    query = select(DagRun.dag_id, named, func.max(DagRun.id)).where(DagRun.dag_id.in_(readable))
    for dag_id, model, number in session.execute(query.group_by(DagRun.dag_id, named)):
        published = models[dag_id]
        if model in published:
            yield model, number, True
        elif model is None and len(published) == 1:
            yield published[0], number, False


def _runs(session: Session, numbers: Collection[int]) -> Mapping[int, LastRun]:
    query = select(DagRun.id, DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.start_date)
    return {
        row.id: LastRun(
            dag_id=row.dag_id,
            run_id=row.run_id,
            state=str(row.state),
            started_at=format_time(row.start_date.timestamp()) if row.start_date else None,
        )
        for row in session.execute(query.where(DagRun.id.in_(numbers)))
    }


def _failure(runs: Mapping[int, LastRun], newest: int, left: _Left | None) -> LastFailure | None:
    if left is None or left.number not in runs or runs[newest].state == "success":
        return None
    record = _parsed(left.text)
    error, message = (str(record.get(name, "")) for name in ("error", "message"))
    return LastFailure(run=runs[left.number], error=error, message=message)


def _parsed(text: str) -> Mapping[str, Any]:
    """The failure that an XCom holds; nothing if it is cut off, or no such record."""
    try:
        value = plain_json(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, Mapping) else {}
