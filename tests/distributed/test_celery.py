from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from redraw.records import Checkpoint, Release
from redraw.storage.opening import open_storage
from redraw_airflow.standalone.airflow_api import AirflowApi
from redraw_airflow.standalone.settings import Settings
from tests.conftest import free_port
from tests.distributed.cluster import Cluster, run_cluster
from tests.distributed.servers import find_missing, run_postgres, run_redis
from tests.paths import ROOT
from tests.publishing.faults import Fault, Kill, Moment
from tests.publishing.proxy import FaultyProxy
from tests.publishing.requests import Operation

RETRAINED, BACKFILLED = "dense_line", "line_module"
DAYS = {day: f"2025-03-{day:02}T12:00:00Z" for day in range(1, 11)}
RUN_SECONDS = 600.0

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(
        bool(find_missing()),
        reason=f"needs Debian's packages {', '.join(find_missing())}: apt-get install them",
    ),
]


@pytest.fixture
def running(
    proxy: FaultyProxy, bucket: str, tmp_path: Path, until: Callable[..., None]
) -> Iterator[tuple[Cluster, AirflowApi]]:
    """A cluster with a worker for each of two queues; the storage is reached through the proxy."""
    settings = Settings(root=ROOT, state=tmp_path / "central", airflow_port=free_port())
    more = {
        "STORAGE_EMULATOR_HOST": proxy.url,
        "REDRAW_MODELS": "sample_models",
        "REDRAW_MODEL_BUCKET": f"{bucket}/models",
        "REDRAW_CHECKPOINTS": f"{bucket}/checkpoints",
        "REDRAW_WORK": f"{bucket}/work",
    }
    with (
        run_postgres(free_port(), until) as database,
        run_redis(free_port(), tmp_path / "redis", until) as broker,
        run_cluster(settings, database, broker, more, until) as (cluster, api),
    ):
        cluster.start_worker("tensorflow-1", "tensorflow", 2)
        cluster.start_worker("default-1", "default", 3)
        yield cluster, api


def killing(
    cluster: Cluster, worker: str, successor: str, queue: str, operation: Operation, name: str
) -> Fault:
    """Kills a worker in the middle of sending a request, and starts another elsewhere."""

    def kill() -> None:
        cluster.kill(worker)
        threading.Thread(target=cluster.start_worker, args=(successor, queue, 2)).start()

    return Fault(action=Kill(function=kill), moment=Moment.SENDING, operation=operation, name=name)


def backfill_states(api: AirflowApi) -> list[str]:
    found = api._get("dags/reexport_checkpoints/dagRuns?run_type=backfill&limit=100")["dag_runs"]
    return [run["state"] for run in found]


def test_runs_on_celery_workers_that_are_killed_end_well_with_one_version(
    running: tuple[Cluster, AirflowApi],
    proxy: FaultyProxy,
    bucket: str,
    add_lines: Callable[..., list[Checkpoint]],
    until: Callable[..., None],
) -> None:
    cluster, api = running
    add_lines(f"{bucket}/checkpoints", DAYS)
    for dag in ("retrain_and_export", "reexport_checkpoints"):
        api.wait_for_dag(dag, 120, cluster.check)
    proxy.faults = [
        killing(cluster, "tensorflow-1", "tensorflow-2", "tensorflow", "create", "checkpoints/ckpt-8.data"),
        # A push has the service copy the export from bucket to bucket.
        killing(cluster, "default-1", "default-2", "default", "copy", f"models/{RETRAINED}/2"),
    ]

    run = api.trigger("retrain_and_export", conf={"model": RETRAINED})
    api._send("PATCH", "dags/reexport_checkpoints", {"is_paused": False})
    backfill = {
        "dag_id": "reexport_checkpoints",
        "from_date": "2025-03-01T00:00:00Z",
        "to_date": "2025-03-10T00:00:00Z",
        "max_active_runs": 4,
        "dag_run_conf": {"model": BACKFILLED, "bucket": f"{bucket}/models"},
    }
    api._send("POST", "backfills", backfill)
    ended = ("success", "failed")
    until(
        lambda: api.dag_run("retrain_and_export", run.run_id).state in ended,
        "the end of retrain_and_export",
        RUN_SECONDS,
        every=1,
    )
    until(
        lambda: sum(state in ended for state in backfill_states(api)) == len(DAYS),
        "the end of the backfill",
        RUN_SECONDS,
        every=1,
    )

    tasks = {task.task_id: task for task in api.tasks("retrain_and_export", run.run_id)}
    assert {name: (task.state, task.try_number) for name, task in tasks.items()} == {
        "train": ("success", 2),
        "checkpoint": ("success", 1),
        "export": ("success", 1),
        "validate": ("success", 1),
        "approve": ("skipped", 0),
        "push": ("success", 2),
        "confirm_rollout": ("skipped", 1),
    }
    assert cluster.killed == ["tensorflow-1", "default-1"]
    assert backfill_states(api) == ["success"] * len(DAYS)
    release = Release.from_json(api.result("retrain_and_export", run.run_id, "push"))
    assert published(bucket, RETRAINED) == {release.version}
    assert release.checkpoint.step == 8
    assert trained_steps(bucket) == [4, 8, 8]
    assert len(published(bucket, BACKFILLED)) == len(DAYS)
    assert queues(api, run.run_id) == {
        **dict.fromkeys(("train", "export", "validate"), "tensorflow"),
        **dict.fromkeys(("checkpoint", "approve", "push", "confirm_rollout"), "default"),
    }


def published(bucket: str, model: str) -> set[int]:
    """The versions that a server would find."""
    names = [item.name.split("/") for item in open_storage(f"{bucket}/models/{model}").list()]
    return {int(name[0]) for name in names if name[0].isdecimal() and name[-1] == "saved_model.pb"}


def trained_steps(bucket: str) -> list[int]:
    """The steps that the run was measured at, as often as it was."""
    work = open_storage(f"{bucket}/work/{RETRAINED}")
    (name,) = [item.name for item in work.list() if item.name.endswith("metrics.jsonl")]
    lines = work.read(name)
    assert lines is not None
    return [json.loads(line)["step"] for line in lines.splitlines()]


def queues(api: AirflowApi, run_id: str) -> dict[str, Any]:
    found = api._get(f"dags/retrain_and_export/dagRuns/{run_id}/taskInstances")["task_instances"]
    return {task["task_id"]: task["queue"] for task in found}
