"""What people decide, through Airflow's own API. In order: each test goes on where the one before ended."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from redraw.publish.live.set_live import read_pointer
from redraw.records import LivePointer, Release
from redraw.storage.opening import open_storage
from redraw_airflow.standalone.airflow_api import AirflowApi, DagRun
from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.settings import Settings
from tests.embedded import reach_storage

DAG = "retrain_and_export"
MODEL = "line_module"
# So long a run may stand still.
SECONDS = 400
# Long enough for a test to answer in, and short enough to wait for.
HOURS = 30 / 3600
# Nobody decides faster. Airflow 3.3 takes an answer that overtakes the news of the asking process's end for a
# task that died ("state mismatch" in its event log), and asks again after the retry's delay.
READING_SECONDS = 5.0

# On a machine that is busy, a question may come too late for an answer in time.
MOST_ASKED = 5

Until = Callable[..., None]

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def asking_run(airflow_api: AirflowApi, embedded_settings: Settings, until: Until) -> DagRun:
    """A run that waits for a person before it publishes."""
    conf = {
        "model": MODEL,
        "bucket": _bucket(embedded_settings),
        "approval": "yes",
        "approval_hours": HOURS,
    }
    run = airflow_api.trigger(DAG, conf=conf)
    _wait(airflow_api, run, until)
    return run


def _bucket(settings: Settings) -> str:
    return f"{settings.model_bucket}/approved"


def _question(run: DagRun, dag: str = DAG) -> str:
    return f"dags/{dag}/dagRuns/{run.run_id}/taskInstances/approve/-1/hitlDetails"


def _states(api: AirflowApi, run: DagRun, dag: str = DAG) -> dict[str, str]:
    return {task.task_id: task.state for task in api.tasks(dag, run.run_id)}


def _wait(api: AirflowApi, run: DagRun, until: Until, dag: str = DAG) -> None:
    """Wait for the run to ask."""
    progress = functools.partial(_states, api, run, dag)

    def asks() -> bool:
        states = progress()
        assert "failed" not in states.values(), states
        return states.get("approve") == "awaiting_input"

    until(asks, "the question", SECONDS, every=1, progress=progress)


def _ended(api: AirflowApi, dag: str, run: DagRun, until: Until) -> str:
    def ended() -> bool:
        return api.dag_run(dag, run.run_id).state in ("success", "failed")

    until(ended, "the end of the run", SECONDS, every=1, progress=lambda: _states(api, run, dag))
    return api.dag_run(dag, run.run_id).state


def _ask_again(api: AirflowApi, run: DagRun, until: Until) -> None:
    asked = {"dag_run_id": run.run_id, "task_ids": ["approve", "push"], "only_failed": False}
    api._send("POST", f"dags/{DAG}/clearTaskInstances", {**asked, "dry_run": False, "reset_dag_runs": True})
    _wait(api, run, until)


def _decide(api: AirflowApi, run: DagRun, option: str, until: Until) -> str:
    """Answer as a person would, again if that is too late, and return the state that the run ends in."""
    for _ in range(MOST_ASKED):
        state = _answer(api, run, option, until)
        if api._get(_question(run))["responded_by_user"] is not None:
            return state
        _ask_again(api, run, until)
    raise AssertionError(f"expected an answer in time to one of {MOST_ASKED} questions, got none")


def _answer(api: AirflowApi, run: DagRun, option: str, until: Until, dag: str = DAG) -> str:
    """Answer each time that the run asks, and return the state it ends in."""
    path = _question(run, dag)
    # By this clock: the request that a task asks again with bears the time of its first one.
    asked_since: float | None = None

    def ended() -> bool:
        nonlocal asked_since
        if _states(api, run, dag).get("approve") != "awaiting_input" or api._get(path)["response_received"]:
            asked_since = None
        elif asked_since is None:
            asked_since = time.monotonic()
        elif time.monotonic() - asked_since > READING_SECONDS:
            api._send("PATCH", path, {"chosen_options": [option], "params_input": {}})
        return api.dag_run(dag, run.run_id).state in ("success", "failed")

    progress = functools.partial(_states, api, run, dag)
    until(ended, f"the end of a run with the option {option}", SECONDS, every=1, progress=progress)
    return api.dag_run(dag, run.run_id).state


def _pointer(settings: Settings, patch: pytest.MonkeyPatch) -> LivePointer:
    reach_storage(patch, settings)
    return read_pointer(open_storage(_bucket(settings)), MODEL)


@pytest.fixture(scope="module")
def own_answer(airflow_api: AirflowApi, embedded_settings: Settings, until: Until) -> DagRun:
    """A run of a model whose definition wants another person's approval, answered by who started it."""
    conf = {"model": "line_asking", "bucket": _bucket(embedded_settings), "approval_hours": 1}
    run = airflow_api.trigger(DAG, conf=conf)
    _wait(airflow_api, run, until)
    assert _decide(airflow_api, run, "Approve", until) == "failed"
    return run


def test_approval_of_one_s_own_run_where_the_definition_forbids_it_publishes_nothing(
    airflow_api: AirflowApi, own_answer: DagRun, embedded_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = _states(airflow_api, own_answer)

    assert (states["approve"], states["push"]) == ("failed", "upstream_failed")
    (task,) = (task for task in airflow_api.tasks(DAG, own_answer.run_id) if task.task_id == "approve")
    said = [line.exception for line in airflow_api.log(DAG, own_answer.run_id, task) if line.exception]
    assert "expected a person other than 'admin'" in said[-1]
    reach_storage(monkeypatch, embedded_settings)
    assert open_storage(_bucket(embedded_settings)).list("line_asking/") == []


def test_approval_of_the_definition_left_out_by_a_run_is_refused_before_training(
    airflow_api: AirflowApi, until: Until
) -> None:
    run = airflow_api.trigger(DAG, conf={"model": "line_asking", "approval": "no"})

    assert _ended(airflow_api, DAG, run, until) == "failed"
    assert _states(airflow_api, run)["train"] == "failed"


def test_reexport_of_a_model_that_asks_for_approval_asks_once_for_its_batch(
    airflow_api: AirflowApi,
    own_answer: DagRun,
    embedded_settings: Settings,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dag = "reexport_checkpoints"
    conf = {"model": "line_asking", "bucket": _bucket(embedded_settings), "steps": [8]}
    run = airflow_api.trigger(dag, conf=conf)
    _wait(airflow_api, run, until, dag)
    assert airflow_api._get(_question(run, dag))["subject"] == "Publish 1 checkpoint of line_asking?"

    assert _answer(airflow_api, run, "Reject", until, dag) == "success"
    states = _states(airflow_api, run, dag)
    assert (states["reexport"], states["summary"]) == ("skipped", "skipped")
    reach_storage(monkeypatch, embedded_settings)
    assert open_storage(_bucket(embedded_settings)).list("line_asking/") == []


def test_approval_shows_what_to_decide_by(airflow_api: AirflowApi, asking_run: DagRun) -> None:
    asked = airflow_api._get(_question(asking_run))

    assert asked["subject"] == f"Publish {MODEL}, step 8?"
    assert asked["options"] == ["Approve", "Reject"]
    assert asked["defaults"] == ["Reject"]
    assert "checks passed.**" in asked["body"]
    assert "| Live now | no version |" in asked["body"]
    assert f"/dags/{DAG}/runs/{quote(asking_run.run_id, safe='')}/plugin/redraw)" in asked["body"]


def test_approval_that_nobody_answers_in_time_publishes_nothing(
    airflow_api: AirflowApi,
    asking_run: DagRun,
    embedded_settings: Settings,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _ended(airflow_api, DAG, asking_run, until) == "success"

    states = _states(airflow_api, asking_run)
    assert (states["approve"], states["push"]) == ("success", "skipped")
    assert _pointer(embedded_settings, monkeypatch).version is None


def test_approval_that_is_rejected_publishes_nothing(
    airflow_api: AirflowApi,
    asking_run: DagRun,
    embedded_settings: Settings,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _ask_again(airflow_api, asking_run, until)

    assert _decide(airflow_api, asking_run, "Reject", until) == "success"
    assert _states(airflow_api, asking_run)["push"] == "skipped"
    assert _pointer(embedded_settings, monkeypatch).version is None


def test_approval_that_is_given_publishes_in_the_names_of_both(
    airflow_api: AirflowApi,
    asking_run: DagRun,
    embedded_settings: Settings,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _ask_again(airflow_api, asking_run, until)

    assert _decide(airflow_api, asking_run, "Approve", until) == "success"
    release = Release.from_json(airflow_api.result(DAG, asking_run.run_id, "push"))
    assert (release.provenance.asked_by, release.provenance.approved_by) == ("admin", "admin")
    assert _pointer(embedded_settings, monkeypatch).version == release.version


def _act(api: AirflowApi, until: Until, dag: str, settings: Settings, **conf: Any) -> tuple[str, DagRun]:
    """Do as a page's button does."""
    api.wait_for_dag(dag, 120, lambda: None)
    asked = {"logical_date": None, "note": "a test", "conf": {"bucket": _bucket(settings), **conf}}
    answer = api._send("POST", f"dags/{dag}/dagRuns", asked)
    run = DagRun(run_id=answer["dag_run_id"], state=answer["state"])
    return _ended(api, dag, run, until), run


def test_pin_of_the_version_keeps_who_asked_and_why(
    airflow_api: AirflowApi, embedded_settings: Settings, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = _pointer(embedded_settings, monkeypatch).version
    asked = {"model": MODEL, "version": version, "mark": "pin", "reason": "the audit's"}

    state, _ = _act(airflow_api, until, "mark_version", embedded_settings, **asked)

    assert state == "success"
    pointer = _pointer(embedded_settings, monkeypatch)
    assert pointer.pinned == {str(version): "the audit's"}
    change = pointer.history[-1]
    assert (change.kind, change.by, change.reason) == ("pin", "admin", "the audit's")


@pytest.mark.parametrize(
    ("conf", "field"),
    [
        ({"version": 1, "mark": "pin"}, "reason"),
        ({"version": 1, "mark": "pin", "reason": "  "}, "reason"),
        ({"version": 1, "mark": "delete", "reason": "why"}, "mark"),
        ({"mark": "pin", "reason": "why"}, "version"),
    ],
)
def test_mark_of_a_wrong_form_is_refused_before_there_is_a_run(
    airflow_api: AirflowApi, embedded_settings: Settings, until: Until, conf: dict[str, Any], field: str
) -> None:
    with pytest.raises(EmbeddedError, match=rf"got 4\d\d .*{field}"):
        _act(airflow_api, until, "mark_version", embedded_settings, model=MODEL, **conf)


def test_prune_that_is_not_told_to_apply_lists_and_removes_nothing(
    airflow_api: AirflowApi, embedded_settings: Settings, until: Until
) -> None:
    state, run = _act(airflow_api, until, "prune_versions", embedded_settings, model=MODEL, keep=0)

    assert state == "success"
    report = airflow_api.result("prune_versions", run.run_id, "prune")
    assert (report["applied"], report["removed"]) == (False, [])
    assert len(report["kept"]) == 1
