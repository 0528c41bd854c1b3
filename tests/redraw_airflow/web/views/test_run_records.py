"""What Airflow's database knows of runs, in tables in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import Session
from sqlalchemy.schema import Table

from redraw.records import TrainingRun
from redraw.records.failure import StageFailure
from redraw.records.progress import TrainingProgress
from redraw_airflow.web.views.model_runs import LastFailure, LastRun, find_model_runs
from redraw_airflow.web.views.run_records import (
    TaskPlace,
    find_conf,
    find_failures,
    find_progress,
    find_records,
    find_states,
)
from tests.redraw_airflow.deciding import EXPORT, REPORT

AT = datetime(2026, 1, 1, tzinfo=UTC)
RUN = TaskPlace(dag_id="d", run_id="r1")
FAILURE = StageFailure(model="mnist", stage="train", error="DiskFull", message="no room", retryable=False)
PROGRESS = TrainingProgress(model="mnist", run="a-run", uri="/work/mnist/a-run")


@pytest.fixture
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://")
    for model in (DagRun, TaskInstance, XComModel):
        table = model.__table__
        assert isinstance(table, Table)
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        with engine.begin() as connection:
            connection.exec_driver_sql(f'CREATE TABLE "{table.name}" ({columns})')
    with Session(engine) as session:
        yield session
    engine.dispose()


def add_run(session: Session, number: int, state: str = "success", dag: str = "d", conf: Any = None) -> None:
    row = {
        "id": number,
        "dag_id": dag,
        "run_id": f"r{number}",
        "state": state,
        "start_date": AT,
        "conf": conf,
    }
    row |= {"run_after": AT, "log_template_id": None}
    session.execute(insert(DagRun.__table__).values(row))


def leave(session: Session, task: str, key: str, value: Any, number: int = 1, **more: Any) -> None:
    row = {"dag_run_id": number, "dag_id": "d", "run_id": f"r{number}", "task_id": task, "key": key}
    row |= {"value": value, "map_index": -1, "timestamp": AT, **more}
    session.execute(insert(XComModel.__table__).values(row))


def test_find_records_gives_each_task_s_own_and_the_summary_in_place_of_reports(session: Session) -> None:
    add_run(session, 1, conf={"model": "mnist"})
    leave(session, "train", "return_value", TrainingRun(model="mnist", uri="/r", run="r", step=1).to_json())
    # Some of Airflow's ways of writing it put JSON into a text of JSON.
    leave(session, "export", "return_value", json.dumps(EXPORT.to_json()))
    leave(session, "export", "report", REPORT.to_json())
    leave(session, "other", "return_value", {"record": "Unknown"})
    leave(session, "broken", "return_value", {"record": "Release"})
    leave(session, "reexport", "report", REPORT.to_json(), map_index=3)
    leave(session, "fit", "progress", PROGRESS.to_json())
    leave(session, "fit", "failure", FAILURE.to_json())
    leave(session, "elsewhere", "return_value", EXPORT.to_json(), number=2)

    found = {record.task_id: record for record in find_records(session, RUN)}

    assert [(name, type(found[name].record).__name__, found[name].map_index) for name in found] == [
        ("train", "TrainingRun", -1),
        ("export", "ExportedModel", -1),
        ("broken", "NoneType", -1),
        ("reexport", "ValidationReport", 3),
    ]
    assert found["train"].kind == "TrainingRun"
    assert found["export"].record == EXPORT
    broken = found["broken"]
    assert (broken.kind, broken.record, broken.problem[:14]) == ("Release", None, "Release record")
    one = TaskPlace(dag_id="d", run_id="r1", task_id="reexport", map_index=3)
    assert [record.task_id for record in find_records(session, one)] == ["reexport"]
    assert find_records(session, TaskPlace(dag_id="d", run_id="r1", task_id="reexport")) == ()
    leave(session, "summary", "summary", REPORT.to_json())
    assert "reexport" not in [record.task_id for record in find_records(session, RUN)]
    assert find_conf(session, RUN) == {"model": "mnist"}
    assert find_conf(session, TaskPlace(dag_id="d", run_id="none")) == {}


def test_find_failures_progress_and_states_of_a_run_or_of_a_task(session: Session) -> None:
    leave(session, "fit", "progress", PROGRESS.to_json())
    leave(session, "fit", "failure", FAILURE.to_json())
    leave(session, "large", "failure", {"record": "StageFailure", "message": "x" * 2_000_000})
    for task, state in (("fit", "failed"), ("large", "success"), ("waits", None)):
        row = {"dag_id": "d", "run_id": "r1", "task_id": task, "map_index": -1, "state": state}
        session.execute(insert(TaskInstance.__table__).values(row))
    fit, large = ("fit", -1), ("large", -1)

    failures = find_failures(session, RUN)

    assert (failures[fit].record, failures[large].record) == (FAILURE, None)
    assert failures[large].problem.startswith("XCom: expected at most 2000000 characters, got more")
    assert [found.record for found in find_progress(session, RUN)] == [PROGRESS]
    assert find_states(session, RUN) == {fit: "failed", large: "success"}
    assert find_states(session, TaskPlace(dag_id="d", run_id="r1", task_id="fit")) == {fit: "failed"}
    assert find_states(session, TaskPlace(dag_id="d", run_id="r1", task_id="fit", map_index=0)) == {}


def last_run(number: int, state: str, dag: str = "d") -> LastRun:
    return LastRun(dag_id=dag, run_id=f"r{number}", state=state, started_at="2026-01-01T00:00:00Z")


def test_find_model_runs_has_the_newest_run_and_the_newest_failure_that_is_not_overcome(
    session: Session,
) -> None:
    add_run(session, 1, "failed")
    leave(session, "train", "failure", FAILURE.to_json())
    add_run(session, 2, "running")
    leave(session, "train", "return_value", EXPORT.to_json(), number=2)
    publishers: dict[str, Any] = {"mnist": (), "other": ()}

    found = find_model_runs(session, publishers, lambda dag: True)

    assert found["mnist"].last == last_run(2, "running")
    assert found["mnist"].failure == LastFailure(
        run=last_run(1, "failed"), error="DiskFull", message="no room"
    )
    assert found["mnist"].dags == {"d"}
    assert (found["other"].last, found["other"].failure, found["other"].dags) == (None, None, frozenset())
    assert find_model_runs(session, publishers, lambda dag: dag != "d")["mnist"].last is None
    add_run(session, 3, "success")
    leave(session, "export", "return_value", EXPORT.to_json(), number=3)
    overcome = find_model_runs(session, publishers, lambda dag: True)["mnist"]
    assert (overcome.last, overcome.failure) == (last_run(3, "success"), None)


def test_find_model_runs_counts_those_whose_dag_publishes_the_model_or_whose_form_names_it(
    session: Session,
) -> None:
    add_run(session, 1, dag="alone")
    add_run(session, 2, dag="shared", conf={"model": "mnist"})
    add_run(session, 3, dag="shared", conf={"model": "stranger"})
    add_run(session, 4, dag="shared")
    publishers = {"mnist": ["shared"], "wide": ["shared", "alone"]}

    found = find_model_runs(session, publishers, lambda dag: True)

    assert {model: runs.last and runs.last.run_id for model, runs in found.items()} == {
        "mnist": "r2",
        "wide": "r1",
    }
    unread = find_model_runs(session, publishers, lambda dag: dag == "alone")
    assert (unread["mnist"].last, unread["wide"].last) == (None, last_run(1, "success", "alone"))
