"""What those who may only trigger, or only look, can make a running Airflow do: refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import cycle
from typing import Any

import httpx
import pytest

from redraw.storage.opening import open_storage
from redraw_airflow.standalone.airflow_api import AirflowApi, DagRun
from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.services import read_password
from redraw_airflow.standalone.settings import Settings
from tests.embedded import reach_storage

pytestmark = pytest.mark.timeout(900)

SECONDS = 500
DAGS: dict[str, tuple[str, dict[str, object]]] = {
    "retrain_and_export": ("train", {"model": "mnist"}),
    "reexport_checkpoints": ("plan", {"model": "mnist", "steps": [1]}),
    "roll_back_model": ("roll_back", {"model": "mnist", "reason": "a"}),
    "mark_version": ("mark", {"model": "mnist", "version": 1, "reason": "a"}),
    "prune_versions": ("prune", {"model": "mnist", "apply": True, "keep": 0}),
}
# What a run asks for, and a part of what the task says. tests/dags/test_requests.py asks each DAG for more.
ELSEWHERE: tuple[tuple[dict[str, object], str], ...] = (
    ({"bucket": "gs://somewhere-else"}, "bucket: expected a path in gs://redraw-models"),
    ({"bucket": "gs://redraw-models-2/a"}, "bucket: expected a path in gs://redraw-models"),
    ({"no_such_field": 1}, "conf: expected fields of the form"),
)
IN_RETRAIN: tuple[tuple[dict[str, object], str], ...] = (
    ({"catalogue": "/etc"}, "catalogue: expected a path in gs://redraw-checkpoints"),
    ({"warm_start": "/proc/self/environ"}, "warm_start: expected a path in"),
    ({"warm_start": "gs://redraw-models/../a"}, "expected gs://BUCKET"),
    ({"model": "line_asking", "approval": "no"}, "Remove the argument, or choose yes"),
)


def test_runs_that_ask_for_what_they_may_not_start_nothing(
    airflow_api: AirflowApi,
    embedded_settings: Settings,
    until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reach_storage(monkeypatch, embedded_settings)
    storage = open_storage(embedded_settings.model_bucket)
    before = storage.list()
    asked = [(dag, {**DAGS[dag][1], **more}, says) for dag, (more, says) in zip(DAGS, cycle(ELSEWHERE))]
    asked += [("retrain_and_export", {"model": "mnist", **more}, says) for more, says in IN_RETRAIN]
    runs = [(dag, _triggered(airflow_api, dag, conf, until), says) for dag, conf, says in asked]

    def ended() -> bool:
        return all(
            airflow_api.dag_run(dag, run.run_id).state in ("success", "failed") for dag, run, _ in runs
        )

    until(ended, "the end of all runs", SECONDS, every=2)
    wrong = {
        f"{dag} {says}": reason
        for dag, run, says in runs
        if says not in (reason := _said(airflow_api, dag, run))
    }
    assert wrong == {}
    assert storage.list() == before


def _triggered(api: AirflowApi, dag: str, conf: dict[str, object], until: Callable[..., None]) -> DagRun:
    """A run; SQLite has one writer, and refuses a second one at the same moment."""
    made: list[DagRun] = []

    def trigger() -> bool:
        try:
            made.append(api.trigger(dag, conf=conf))
        except EmbeddedError as err:
            if "Database error" not in str(err):
                raise
        return bool(made)

    until(trigger, "a moment to start a run in", 120, every=1)
    return made[0]


def _said(api: AirflowApi, dag: str, run: DagRun) -> str:
    """What the first task failed with, and that no other one began."""
    first, *others = api.tasks(dag, run.run_id)
    assert (first.task_id, first.state) == (DAGS[dag][0], "failed")
    assert {task.state for task in others} <= {"upstream_failed", "failed"}
    assert all(task.try_number == 0 for task in others if task.state == "upstream_failed")
    lines = [line.exception for line in api.log(dag, run.run_id, first) if line.exception]
    return lines[-1] if lines else ""


@pytest.mark.parametrize(
    ("dag", "conf"),
    [
        ("roll_back_model", {"reason": 501 * "a"}),
        ("roll_back_model", {"allow_older": 100_000 * "a"}),
        ("mark_version", {"version": 2**63, "reason": "a"}),
        ("mark_version", {"version": 1, "reason": "a", "mark": "delete"}),
        ("prune_versions", {"keep": -1}),
        ("reexport_checkpoints", {"steps": [2**63]}),
        ("reexport_checkpoints", {"steps": list(range(1001))}),
        ("reexport_checkpoints", {"catalogue": f"gs://{1300 * 'a'}"}),
        ("retrain_and_export", {"model": "../mnist"}),
        ("retrain_and_export", {"waive": [f"loads={600 * 'a'}"]}),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_value_beyond_its_bound_is_refused_before_there_is_a_run(
    dag: str, conf: dict[str, object], airflow_api: AirflowApi, until: Callable[..., None]
) -> None:
    with pytest.raises(EmbeddedError, match="expected success, got 4"):
        _triggered(airflow_api, dag, {**DAGS[dag][1], **conf}, until)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/redraw/models/mnist/1/beside/2/weights", 403),
        ("GET", "/redraw/models/mnist/1/example", 403),
        ("POST", "/redraw/models/mnist/1/trial", 403),
        ("POST", "/api/v2/dags/roll_back_model/dagRuns", 403),
        ("GET", "/redraw/models", 200),
    ],
)
def test_one_who_may_only_look_starts_nothing(
    method: str, path: str, status: int, airflow_api: AirflowApi, embedded_settings: Settings
) -> None:
    login = {"username": "viewer", "password": read_password(embedded_settings, "viewer")}
    with httpx.Client(base_url=embedded_settings.airflow_url, timeout=60, trust_env=False) as viewer:
        token = viewer.post("/auth/token", json=login).raise_for_status().json()["access_token"]
        body: dict[str, Any] = {} if method == "GET" else {"json": {"logical_date": None, "conf": {}}}
        answer = viewer.request(method, path, headers={"Authorization": f"Bearer {token}"}, **body)

    assert answer.status_code == status, answer.text
    if path.startswith("/redraw"):
        assert answer.headers["Cache-Control"] == "no-store"
