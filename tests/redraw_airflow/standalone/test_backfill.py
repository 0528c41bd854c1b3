"""Backfills as a user starts them. In order: each test goes on where the one before ended."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from redraw.publish.live.set_live import change_live
from redraw.records import Checkpoint
from redraw.records.reexport import ReexportReport
from redraw.requests import LiveRequest
from redraw.storage.opening import Storage, open_storage
from redraw_airflow.standalone.airflow_api import AirflowApi
from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.settings import Settings, airflow_environment
from redraw_airflow.standalone.state import read_instance
from tests.embedded import reach_storage

DAG = "reexport_checkpoints"
MODEL = "line_module"
FIRST, LAST = "2025-03-02T00:00:00Z", "2025-03-05T00:00:00Z"
LIVE = {100: "2025-06-01T12:00:00Z"}
# Four days, of which one has no checkpoint.
DAYS = {
    2: "2025-03-02T12:00:00Z",
    5: "2025-03-03T00:00:00Z",
    51: "2025-03-03T23:59:59Z",
    8: "2025-03-05T12:00:00Z",
}
BROKEN = 8
SECONDS = 400


@dataclass
class Watcher:
    """Reads the bucket as a server does: what it would load by number, and what is live."""

    storage: Storage
    seen: list[tuple[int, int | None]] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Look twice a second."""
        while not self.done.wait(0.5):
            names = (item.name.split("/") for item in self.storage.list(f"{MODEL}/"))
            loadable = [int(n[1]) for n in names if n[-1] == "saved_model.pb" and n[1].isdecimal()]
            live = change_live(LiveRequest(model=MODEL, bucket=self.storage.uri)).version
            self.seen.append((max(loadable), live))


@pytest.fixture(scope="module")
def conf(
    airflow_api: AirflowApi,
    embedded_settings: Settings,
    add_lines: Callable[[str, Mapping[int, str]], list[Checkpoint]],
) -> Iterator[dict[str, object]]:
    """The conf of every run of this module; its catalogue has a broken checkpoint."""
    catalogue = f"{embedded_settings.checkpoint_bucket}/lines"
    with pytest.MonkeyPatch.context() as patch:
        reach_storage(patch, embedded_settings)
        records = add_lines(catalogue, DAYS | LIVE)
        _rewrite(next(record for record in records if record.step == BROKEN))
        yield {
            "model": MODEL,
            "catalogue": catalogue,
            "batch_size": 1,
            "bucket": f"{embedded_settings.model_bucket}/lines",
        }


@pytest.fixture(scope="module")
def watcher(conf: dict[str, object]) -> Iterator[Watcher]:
    """Watches from the first test that asks for it to the end of the module."""
    watcher = Watcher(open_storage(str(conf["bucket"])))
    thread = threading.Thread(target=watcher.watch, daemon=True)
    thread.start()
    yield watcher
    watcher.done.set()
    thread.join(timeout=30)


def _rewrite(checkpoint: Checkpoint) -> None:
    """Turn every bit of a checkpoint's data around; once more fixes it."""
    storage = open_storage(checkpoint.uri)
    (data,) = (item for item in storage.list() if ".data-" in item.name)
    content = storage.read(data.name)
    assert content is not None
    storage.delete(data.name, data.generation)
    storage.create(data.name, bytes(byte ^ 255 for byte in content))


def _runs(api: AirflowApi) -> dict[str, dict[str, Any]]:
    """The backfill's runs: day to run."""
    found = api._get(f"dags/{DAG}/dagRuns?run_type=backfill&limit=100")["dag_runs"]
    return {run["logical_date"][:10]: run for run in found}


def _alone(settings: Settings, until: Callable[..., None], create: Callable[[], bool]) -> None:
    """Create a backfill while Airflow's other components hold still.

    SQLite has one writer, and gives up at once where a reader becomes a second one: a backfill would be
    refused, or created in part, whenever the scheduler writes at the same moment.
    """
    instance = read_instance(settings.state)
    assert instance is not None
    names = ("scheduler", "dag-processor", "triggerer")
    others = [psutil.Process(instance.services[name].pid) for name in names]

    def tried() -> bool:
        for process in others:
            process.suspend()
        try:
            return create()
        finally:
            for process in others:
                process.resume()

    until(tried, "a moment to create the backfill in", 120, every=2)


def _backfill(
    api: AirflowApi,
    settings: Settings,
    until: Callable[..., None],
    conf: dict[str, object],
    **more: object,
) -> None:
    asked = {"dag_id": DAG, "from_date": FIRST, "to_date": LAST, "dag_run_conf": conf, **more}

    def create() -> bool:
        try:
            api._send("POST", "backfills", asked)
        except EmbeddedError as err:
            if "got 503 " not in str(err):
                raise
            return False
        return True

    _alone(settings, until, create)


def _finished(api: AirflowApi, until: Callable[..., None]) -> dict[str, dict[str, Any]]:
    def ended() -> bool:
        backfills = api._get(f"backfills?dag_id={DAG}")["backfills"]
        return bool(backfills) and all(backfill["completed_at"] for backfill in backfills)

    until(ended, "the end of the backfill", SECONDS, every=0.5)
    return _runs(api)


def _xcom(api: AirflowApi, run: Mapping[str, Any]) -> ReexportReport:
    path = f"dags/{DAG}/dagRuns/{run['dag_run_id']}/taskInstances/summary/xcomEntries/summary"
    return ReexportReport.from_json(api._get(path)["value"])


def _outcomes(api: AirflowApi, runs: Mapping[str, Any], *days: str) -> dict[int | None, str]:
    return {row.step: row.outcome for day in days for row in _xcom(api, runs[day]).checkpoints}


def _stages(settings: Settings) -> list[psutil.Process]:
    """The processes of this instance that export a batch now."""
    instance = read_instance(settings.state)
    services = instance.services.values() if instance else ()
    return [
        process
        for service in services
        for process in service.family()
        if _arguments(process)[-5:-2] == ["-m", "redraw", "reexport"]
    ]


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:  # also of one that nobody has reaped yet
        return []


@pytest.mark.timeout(600)
def test_run_by_hand_without_a_logical_date_exports_the_steps_of_the_form(
    airflow_api: AirflowApi, conf: dict[str, object], until: Callable[..., None]
) -> None:
    run = airflow_api.trigger(DAG, conf={**conf, "steps": list(LIVE)})

    def ended() -> bool:
        return airflow_api.dag_run(DAG, run.run_id).state in ("success", "failed")

    until(ended, "the end of the run", SECONDS, every=0.5)
    assert airflow_api.dag_run(DAG, run.run_id).state == "success"
    (row,) = ReexportReport.from_json(airflow_api.result(DAG, run.run_id, "summary")).checkpoints
    assert (row.step, row.outcome, row.version) == (100, "exported", 2025060112000000)
    bucket = str(conf["bucket"])
    assert change_live(LiveRequest(model=MODEL, bucket=bucket)).version is None
    change_live(LiveRequest(model=MODEL, bucket=bucket, set=row.version))


@pytest.mark.timeout(600)
def test_backfill_by_command_with_a_stage_killed_half_way_does_every_day_but_the_broken_one(
    airflow_api: AirflowApi,
    conf: dict[str, object],
    watcher: Watcher,
    embedded_settings: Settings,
    until: Callable[..., None],
) -> None:
    command = [
        sys.executable,
        "-m",
        "airflow",
        "backfill",
        "create",
        "--dag-id",
        DAG,
        "--from-date",
        FIRST,
        "--to-date",
        LAST,
        "--dag-run-conf",
        json.dumps(conf),
        "--max-active-runs",
        "4",
    ]
    environment = airflow_environment(embedded_settings)

    def create() -> bool:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 or "database is locked" in done.stderr, done.stdout + done.stderr
        return done.returncode == 0

    _alone(embedded_settings, until, create)
    until(lambda: bool(_stages(embedded_settings)), "a batch", SECONDS, every=0.2)
    _stages(embedded_settings)[0].kill()

    runs = _finished(airflow_api, until)

    assert len(runs) == 4
    assert [day for day, run in sorted(runs.items()) if run["state"] != "success"] == ["2025-03-05"]
    assert _outcomes(airflow_api, runs, "2025-03-02", "2025-03-03", "2025-03-05") == {
        2: "exported",
        5: "exported",
        51: "exported",
        BROKEN: "failed",
    }
    (failed,) = _xcom(airflow_api, runs["2025-03-05"]).checkpoints
    assert "checksum" in failed.reason
    path = f"dags/{DAG}/dagRuns/{runs['2025-03-04']['dag_run_id']}/taskInstances"
    states = {task["task_id"]: task["state"] for task in airflow_api._get(path)["task_instances"]}
    assert states == dict.fromkeys(("plan", "approve", "reexport", "summary"), "skipped")


@pytest.mark.timeout(600)
def test_backfill_by_rest_of_what_failed_does_that_alone(
    airflow_api: AirflowApi,
    conf: dict[str, object],
    watcher: Watcher,
    embedded_settings: Settings,
    until: Callable[..., None],
) -> None:
    before = _runs(airflow_api)
    _rewrite(Checkpoint.from_json(_planned(airflow_api, before["2025-03-05"])))

    _backfill(airflow_api, embedded_settings, until, conf, reprocess_behavior="failed", max_active_runs=4)

    runs = _finished(airflow_api, until)
    changed = [day for day in runs if runs[day]["start_date"] != before[day]["start_date"]]
    assert changed == ["2025-03-05"]
    assert runs["2025-03-05"]["state"] == "success"
    assert _outcomes(airflow_api, runs, "2025-03-05") == {BROKEN: "exported"}


def _planned(api: AirflowApi, run: Mapping[str, Any]) -> Any:
    path = f"dags/{DAG}/dagRuns/{run['dag_run_id']}/taskInstances/plan/xcomEntries/plan"
    return api._get(path)["value"][0]["checkpoints"][0]


@pytest.mark.timeout(600)
def test_backfill_by_rest_without_reprocessing_does_nothing_again(
    airflow_api: AirflowApi,
    conf: dict[str, object],
    watcher: Watcher,
    embedded_settings: Settings,
    until: Callable[..., None],
) -> None:
    before = _runs(airflow_api)

    _backfill(airflow_api, embedded_settings, until, conf, reprocess_behavior="none", max_active_runs=4)

    after = _finished(airflow_api, until)
    assert {day: run["start_date"] for day, run in after.items()} == {
        day: run["start_date"] for day, run in before.items()
    }


@pytest.mark.timeout(600)
def test_backfill_by_rest_of_what_is_done_backwards_publishes_nothing_anew(
    airflow_api: AirflowApi,
    conf: dict[str, object],
    watcher: Watcher,
    embedded_settings: Settings,
    until: Callable[..., None],
) -> None:
    objects = watcher.storage.list(f"{MODEL}/")

    _backfill(
        airflow_api,
        embedded_settings,
        until,
        conf,
        reprocess_behavior="completed",
        run_backwards=True,
        max_active_runs=2,
    )

    runs = _finished(airflow_api, until)
    assert {run["state"] for run in runs.values()} == {"success"}
    assert runs["2025-03-05"]["start_date"] < runs["2025-03-02"]["start_date"]
    assert set(_outcomes(airflow_api, runs, "2025-03-02", "2025-03-03", "2025-03-05").values()) == {
        "already there"
    }
    assert watcher.storage.list(f"{MODEL}/") == objects
    # What a server would load never changed, whichever rule it follows.
    assert len(watcher.seen) > 30
    assert set(watcher.seen) == {(2025060112000000, 2025060112000000)}
