"""Runs one DAG to its end, and writes what came of it: `run_dag.py ANSWER FILE LOGICAL_DATE CONF`.

The connection is kept in the database, as a deployment keeps it, so that the stages'
credentials come through Airflow's own API.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow.models import dagrun
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.connection import Connection
from airflow.models.xcom import XComModel
from airflow.sdk import DAG
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select


def migrate() -> None:
    """Make the database."""
    initdb()


def main(answer: str, file: str, logical_date: str, conf: str, partition: str = "") -> None:
    """Run the first DAG of a file; `LOGICAL_DATE` is `null` or an ISO date."""

    def give_partition(session: Any, run: Any) -> None:
        # `DAG.test` cannot ask for one.
        run.partition_key = partition or None

    date = None if logical_date == "null" else datetime.datetime.fromisoformat(logical_date)
    run_first(answer, load(file), date, json.loads(conf), give_partition)


def load(file: str) -> dict[str, Any]:
    """Make the connection, and import a file of the DAGs folder."""
    with create_session() as session:
        settings = json.dumps({"is_anonymous": True, "project": "redraw"})
        if session.scalar(select(Connection).where(Connection.conn_id == "google_cloud_default")) is None:
            session.add(
                Connection(conn_id="google_cloud_default", conn_type="google_cloud_platform", extra=settings)
            )
    sys.path.insert(0, os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    return vars(importlib.import_module(file))


def run_first(
    answer: str, module: dict[str, Any], date: Any, conf: Any, prepare: Callable[[Any, Any], None]
) -> None:
    """Run the first DAG of a module; `prepare` has the run before its first task."""
    dag = next(value for value in module.values() if isinstance(value, DAG))
    make = dagrun.get_or_create_dagrun

    def made(*, session: Any, **arguments: Any) -> Any:
        run = make(session=session, **arguments)
        prepare(session, run)
        session.commit()
        return run

    dagrun.get_or_create_dagrun = made
    run = dag.test(logical_date=date, run_conf=conf)
    with create_session() as session:
        Path(answer).write_text(json.dumps(outcome(session, run), default=str))


def outcome(session: Any, run: Any) -> dict[str, Any]:
    """The run's and its tasks' states, their XComs, and the events of its assets."""
    xcoms = session.scalars(select(XComModel).where(XComModel.run_id == run.run_id)).all()
    of_this_run = AssetEvent.source_run_id == run.run_id
    events = session.execute(
        select(AssetModel.name, AssetEvent.extra).join(AssetEvent.asset).where(of_this_run)
    ).all()
    instances = run.get_task_instances()
    tasks = {ti.task_id: {"state": ti.state, "tries": ti.try_number} for ti in instances}
    mapped = {
        f"{ti.task_id}.{ti.map_index}": {"state": ti.state, "label": ti.rendered_map_index}
        for ti in instances
        if ti.map_index >= 0
    }
    return {
        "state": run.state,
        "run_id": run.run_id,
        "logical_date": run.logical_date,
        "tasks": tasks,
        "mapped": mapped,
        "xcoms": {f"{x.task_id}.{x.key}": XComModel.deserialize_value(x) for x in xcoms},
        "events": [{"asset": name, "extra": extra} for name, extra in events],
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
