"""The runs that did something with a model, of any DAG, by the records that their tasks left."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, cast, func, select
from sqlalchemy.orm import Session

from redraw.records.times import format_time
from redraw_airflow.operators.failures import FAILURE_KEY
from redraw_airflow.web.compat import DagRun, XComModel
from redraw_airflow.web.views.run_records import RECORD_KEYS, plain_json

# The most runs that are searched, the newest first, and the most records of their tasks.
_RUNS = 20_000
_RECORDS = 4_000
# A record names its model early, so only its start is searched; a failure is read in full.
_HEAD = 4_096
_FAILURE = 20_000
# JSON, or JSON in a text of JSON.
_MODEL = re.compile(r'\\?"model\\?": ?\\?"([a-z][a-z0-9_]{0,63})\\?"')


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """The newest run of a model.

    Attributes:
        dag_id: The DAG's id.
        run_id: The run's id.
        state: `queued`, `running`, `success` or `failed`.
        started_at: The start in UTC, `YYYY-MM-DDTHH:MM:SSZ`; None before it.
    """

    dag_id: str
    run_id: str
    state: str
    started_at: str | None


@dataclass(frozen=True, kw_only=True)
class LastFailure:
    """The newest failure of a task of Redraw's: the run, the error's name and its message."""

    run: LastRun
    error: str
    message: str


@dataclass(frozen=True, kw_only=True)
class ModelRuns:
    """A model's runs in Airflow's database.

    Attributes:
        last: The newest run; None if there was none.
        failure: The newest recorded failure; None if there is none, or if the newest run succeeded.
        dags: The DAGs whose tasks left records of the model.
    """

    last: LastRun | None = None
    failure: LastFailure | None = None
    dags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _TaskOutput:
    """A record that a task left: the number of its run, and its text."""

    number: int
    dag_id: str
    key: str
    text: str


def find_model_runs(
    session: Session, publishers: Mapping[str, Collection[str]], may_read: Callable[[str], bool]
) -> Mapping[str, ModelRuns]:
    """Find the runs of each model.

    Args:
        session: A session of Airflow's database.
        publishers: Model to the DAGs that publish it, from the release records and the settings.
        may_read: Whether the user may read a DAG; runs of other DAGs are left out.

    Returns:
        Model to its runs. A run counts if one of its tasks left a record of the model, or if its parameters
        name the model and its DAG publishes it. A run that names no model and left no record counts if its
        DAG publishes only this model.
    """
    outputs: dict[str, list[_TaskOutput]] = {model: [] for model in publishers}
    recorded_runs = set[int]()
    for model, output in _records(session):
        recorded_runs.add(output.number)
        if model in outputs and may_read(output.dag_id):
            outputs[model].append(output)
    newest = {
        model: max((record.number for record in records), default=0) for model, records in outputs.items()
    }
    for model, number, is_named in _named_runs(session, publishers, may_read):
        if is_named or number not in recorded_runs:
            newest[model] = max(newest[model], number)
    failures = {model: _newest_failure(records) for model, records in outputs.items()}
    runs = _runs(session, {*newest.values(), *(failure.number for failure in failures.values() if failure)})
    return {
        model: ModelRuns(
            last=runs.get(newest[model]),
            failure=_failure(runs, newest[model], failures[model]),
            dags=frozenset(record.dag_id for record in records),
        )
        for model, records in outputs.items()
    }


def _newest_failure(outputs: Iterable[_TaskOutput]) -> _TaskOutput | None:
    failures = (output for output in outputs if output.key == FAILURE_KEY)
    return max(failures, key=lambda failure: failure.number, default=None)


def _records(session: Session) -> Iterator[tuple[str, _TaskOutput]]:
    """The newest records of Redraw's that tasks left, each with its model."""
    text = cast(XComModel.value, Text)
    least = select(func.coalesce(func.max(DagRun.id), 0) - _RUNS).scalar_subquery()
    query = (
        select(XComModel.dag_run_id, XComModel.dag_id, XComModel.key, func.substr(text, 1, _FAILURE))
        .where(XComModel.dag_run_id > least, XComModel.key.in_((*RECORD_KEYS, FAILURE_KEY)))
        .where(text.like('%"record%'), text.like('%"model%'))
        .order_by(XComModel.dag_run_id.desc())
        .limit(_RECORDS)
    )
    for number, dag_id, key, value in session.execute(query):
        if match := _MODEL.search(value, 0, _FAILURE if key == FAILURE_KEY else _HEAD):
            yield match[1], _TaskOutput(number, dag_id, key, value)


def _named_runs(
    session: Session, publishers: Mapping[str, Collection[str]], may_read: Callable[[str], bool]
) -> Iterator[tuple[str, int, bool]]:
    """The newest runs of the DAGs that publish: model, run, and whether its parameters name the model."""
    models: dict[str, list[str]] = {}
    for model, dag_ids in publishers.items():
        for dag_id in dag_ids:
            models.setdefault(dag_id, []).append(model)
    readable = [dag_id for dag_id in models if may_read(dag_id)]
    conf_model = DagRun.conf["model"].as_string()
    query = select(DagRun.dag_id, conf_model, func.max(DagRun.id)).where(DagRun.dag_id.in_(readable))
    for dag_id, model, number in session.execute(query.group_by(DagRun.dag_id, conf_model)):
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


def _failure(runs: Mapping[int, LastRun], newest: int, failure: _TaskOutput | None) -> LastFailure | None:
    if failure is None or failure.number not in runs or runs[newest].state == "success":
        return None
    record = _parse_failure(failure.text)
    error, message = (str(record.get(name, "")) for name in ("error", "message"))
    return LastFailure(run=runs[failure.number], error=error, message=message)


def _parse_failure(text: str) -> Mapping[str, Any]:
    """The failure in an XCom; empty if it is cut off, or not such a record."""
    try:
        value = plain_json(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, Mapping) else {}
