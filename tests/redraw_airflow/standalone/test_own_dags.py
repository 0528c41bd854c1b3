"""DAGs of one's own in the running instance. In order: each test goes on where the one before ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import psutil
import pytest
from git import Repo

from redraw.publish.releases import list_releases
from redraw.records import Checkpoint
from redraw.requests import ReleasesRequest
from redraw_airflow.standalone.airflow_api import AirflowApi
from redraw_airflow.standalone.settings import Settings
from redraw_airflow.standalone.state import read_instance
from tests.embedded import reach_storage

SECONDS = 300
MODEL = "line_module"
ARRIVED = "own_arrived"

Until = Callable[..., None]


def _trainings(settings: Settings) -> list[psutil.Process]:
    """The processes of this instance that train now."""
    instance = read_instance(settings.state)
    family = (
        [process for service in instance.services.values() for process in service.family()]
        if instance
        else []
    )
    return [process for process in family if _arguments(process)[1:4] == ["-m", "redraw", "train"]]


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:  # also of one that nobody has reaped yet
        return []


def _states(api: AirflowApi, dag: str, run: str) -> dict[str, str]:
    return {task.task_id: task.state for task in api.tasks(dag, run)}


def _ended(api: AirflowApi, dag: str, run: str, until: Until) -> str:
    until(lambda: api.dag_run(dag, run).state in ("success", "failed"), f"the end of {dag}", SECONDS, every=1)
    return api.dag_run(dag, run).state


def _first_run(api: AirflowApi, dag: str, until: Until) -> str:
    def runs() -> list[Any]:
        return list(api._get(f"dags/{dag}/dagRuns")["dag_runs"])

    until(lambda: bool(runs()), f"a run of {dag}", SECONDS, every=1)
    run = runs()[0]
    assert (run["run_type"], run["logical_date"]) == ("asset_triggered", None)
    return str(run["dag_run_id"])


@pytest.mark.timeout(600)
def test_training_that_exceeds_its_time_or_is_marked_failed_leaves_no_process(
    airflow_api: AirflowApi, embedded_settings: Settings, until: Until
) -> None:
    dag = "own_stopped"
    airflow_api.wait_for_dag(dag, 120, lambda: None)
    run = airflow_api.trigger(dag).run_id
    path = f"dags/{dag}/dagRuns/{run}/taskInstances/marked"

    def trains() -> bool:
        progress = airflow_api._get(f"{path}/xcomEntries/progress", absent={})
        return bool(progress.get("value", {}).get("step"))

    until(trains, "a step of the training", SECONDS, every=0.5)
    processes = _trainings(embedded_settings)
    airflow_api._send("PATCH", path, {"new_state": "failed"})

    assert _ended(airflow_api, dag, run, until) == "success"
    assert _states(airflow_api, dag, run) == {"timed_out": "failed", "marked": "failed", "tell": "success"}
    assert processes
    until(lambda: not any(process.is_running() for process in processes), "the end of the stages", 30)
    assert _trainings(embedded_settings) == []
    assert airflow_api.result(dag, run, "tell") == {
        "timed_out": "AirflowTaskTimeout",
        "marked": "StageStopped",
    }


@pytest.mark.timeout(600)
def test_dag_and_definition_of_a_git_bundle_are_found_by_pages_and_stages(
    airflow_api: AirflowApi, embedded_settings: Settings, until: Until
) -> None:
    dag, version = "git_bundled", Repo(embedded_settings.state / "airflow" / "origin").head.commit.hexsha
    airflow_api.wait_for_dag(dag, 120, lambda: None)
    airflow_api._send("PATCH", f"dags/{dag}", {"is_paused": False})
    run = airflow_api.trigger(dag).run_id

    page = airflow_api._client.get("/redraw/models/git_line")
    assert "A straight line whose definition lies in a git bundle." in page.text
    assert _ended(airflow_api, dag, run, until) == "success"
    assert "git_line" in airflow_api.result(dag, run, "list_models")
    assert airflow_api._get(f"dags/{dag}/dagRuns/{run}")["bundle_version"] == version


@pytest.mark.timeout(600)
def test_checkpoint_that_arrives_starts_a_dag_whose_release_starts_another(
    airflow_api: AirflowApi,
    embedded_settings: Settings,
    add_lines: Callable[[str, Mapping[int, str]], list[Checkpoint]],
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for dag in (ARRIVED, "own_after"):
        airflow_api.wait_for_dag(dag, 120, lambda: None)
        airflow_api._send("PATCH", f"dags/{dag}", {"is_paused": False})
    reach_storage(monkeypatch, embedded_settings)
    (landed,) = add_lines(f"{embedded_settings.checkpoint_bucket}/own", {7: "2025-03-02T12:00:00Z"})

    run = _first_run(airflow_api, ARRIVED, until)
    assert _ended(airflow_api, ARRIVED, run, until) == "success", _states(airflow_api, ARRIVED, run)
    release = airflow_api.result(ARRIVED, run, "publish.push")
    assert release["checkpoint"]["digest"] == landed.digest
    assert airflow_api.result(ARRIVED, run, "take") == release["version"]
    after = _first_run(airflow_api, "own_after", until)
    assert _ended(airflow_api, "own_after", after, until) == "success"
    assert f"push {MODEL}" in airflow_api.result("own_after", after, "announce")


@pytest.mark.timeout(600)
def test_clear_of_a_middle_task_does_it_and_what_follows_again_and_publishes_nothing_twice(
    airflow_api: AirflowApi, embedded_settings: Settings, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _first_run(airflow_api, ARRIVED, until)
    before = airflow_api.result(ARRIVED, run, "publish.push")
    asked = {
        "dag_run_id": run,
        "task_ids": ["publish.export"],
        "include_downstream": True,
        "only_failed": False,
    }
    airflow_api._send(
        "POST", f"dags/{ARRIVED}/clearTaskInstances", {**asked, "dry_run": False, "reset_dag_runs": True}
    )

    assert _ended(airflow_api, ARRIVED, run, until) == "success", _states(airflow_api, ARRIVED, run)
    tries = {task.task_id: task.try_number for task in airflow_api.tasks(ARRIVED, run)}
    assert {
        name: tries[name] for name in ("publish.export", "publish.validate", "publish.push")
    } == dict.fromkeys(("publish.export", "publish.validate", "publish.push"), 2)
    assert (tries["newest"], tries["take"]) == (1, 1)
    again = airflow_api.result(ARRIVED, run, "publish.push")
    assert (again["version"], again["digest"]) == (before["version"], before["digest"])
    reach_storage(monkeypatch, embedded_settings)
    request = ReleasesRequest(model=MODEL, bucket=f"{embedded_settings.model_bucket}/own")
    assert [one.version for one in list_releases(request).releases] == [before["version"]]
