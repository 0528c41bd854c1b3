"""A real Airflow API server with the plugin: `serve_pages.py PORT RUNS`, in a fresh AIRFLOW_HOME.

RUNS is a JSON file: the runs that the database begins with, and what their tasks have left. DAGS_OF_TESTS
names the DAGs that there are, if not those that ship.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import uvicorn
from airflow.api_fastapi.app import create_app
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import insert

DAGS = (
    "mark_version",
    "prune_versions",
    "reexport_checkpoints",
    "retrain_and_export",
    "roll_back_model",
    "validate_and_publish",
)


def main(port: int, runs: list[dict[str, Any]]) -> None:
    initdb()
    with create_session() as session:
        session.merge(DagBundleModel(name="dags"))
        session.flush()
        for dag_id in os.environ.get("DAGS_OF_TESTS", ",".join(DAGS)).split(
            ","
        ):  # there may be an Airflow in the home that knows them already
            session.merge(DagModel(dag_id=dag_id, bundle_name="dags", is_stale=False))
        for run in runs:
            write_run(session, run)
    uvicorn.run(create_app(apps="core"), host="127.0.0.1", port=port, log_level="warning")


def write_run(session: Any, run: dict[str, Any]) -> None:
    """The rows that Airflow's scheduler and workers would have written of a run."""
    added = DagRun(
        dag_id=run["dag_id"],
        run_id=run["run_id"],
        run_type="manual",
        state=run["state"],
        conf=run.get("conf"),
    )
    session.add(added)
    session.flush()
    for task in run.get("tasks", ()):
        place = {
            "dag_id": run["dag_id"],
            "run_id": run["run_id"],
            "task_id": task["task_id"],
            "map_index": task.get("map_index", -1),
        }
        session.execute(
            insert(TaskInstance.__table__).values(**place, state=task["state"], pool="default", pool_slots=1)
        )
        for key, value in task.get("xcoms", {}).items():
            session.execute(
                insert(XComModel.__table__).values(**place, dag_run_id=added.id, key=key, value=value)
            )


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
