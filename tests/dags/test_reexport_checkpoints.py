from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pendulum
import pytest

from redraw.errors import InvalidRequest
from redraw.publish.live.set_live import change_live
from redraw.records import Checkpoint
from redraw.records.reexport import ReexportReport
from redraw.requests import LiveRequest
from redraw_airflow import reexport_checkpoints
from tests.paths import ROOT

Python = Callable[..., Any]
AddLines = Callable[..., list[Checkpoint]]

MODEL = "line_module"
DAYS = {10: "2025-03-01T12:00:00Z", 20: "2025-03-02T00:00:00Z", 30: "2025-03-02T23:59:59Z"}


@pytest.fixture
def run_dag(python: Python, gcs_server: str, bucket: str, tmp_path: Path) -> Callable[..., Any]:
    """Runs the DAG: `run_dag(logical_date, conf)`."""

    def run(logical_date: str, **conf: Any) -> Any:
        given = {"model": MODEL, "bucket": bucket, "catalogue": str(tmp_path / "catalogue"), **conf}
        folders = [ROOT / "tasks", ROOT / "plugins", ROOT / "tests"]
        return python(
            "run_dag",
            "reexport_checkpoints",
            logical_date,
            json.dumps(given),
            REDRAW_WORK=str(tmp_path / "work"),
            REDRAW_MODELS="sample_models",
            PYTHONPATH=os.pathsep.join(map(os.fspath, folders)),
            STORAGE_EMULATOR_HOST=gcs_server,
        )

    return run


def rows(record: Any) -> list[tuple[int | None, str]]:
    return [(row.step, row.outcome) for row in ReexportReport.from_json(record).checkpoints]


def test_run_by_hand_with_a_broken_checkpoint_fails_it_alone_and_lists_all(
    run_dag: Callable[..., Any], add_lines: AddLines, bucket: str, tmp_path: Path
) -> None:
    checkpoints = add_lines(str(tmp_path / "catalogue"), DAYS)
    (data,) = Path(checkpoints[1].uri).glob("*.data-*")
    data.write_bytes(bytes(data.stat().st_size))

    run = run_dag("null", steps=[10, 20, 30], batch_size=2)

    assert run["state"] == "failed", run["log"][-6000:]
    summary = run["xcoms"]["summary.summary"]
    assert rows(summary) == [(10, "exported"), (20, "failed"), (30, "exported")]
    reason = ReexportReport.from_json(summary).checkpoints[1].reason
    assert reason
    # The first batch's task fails with the reason, the second one's is none the worse.
    assert {index: task["state"] for index, task in run["mapped"].items()} == {
        "reexport.0": "failed",
        "reexport.1": "success",
    }
    assert run["mapped"]["reexport.0"]["label"] == "steps 10 to 20, trained 2025-03-01 to 2025-03-02"
    assert f"1 of 2 checkpoints failed: {checkpoints[1].uri}: {reason}" in run["log"]
    assert "| 20 | 2025-03-02T00:00:00Z | failed |  |" in run["log"]
    assert change_live(LiveRequest(model=MODEL, bucket=bucket)).version is None
    # A task that fails updates no asset; the other one does, though it is mapped.
    changes = [(event["asset"], event["extra"]["kind"]) for event in run["events"]]
    assert changes == [(f"{bucket}/{MODEL}", "push")]


def test_run_by_hand_with_neither_steps_nor_dates_nor_a_logical_date_says_what_is_missing(
    run_dag: Callable[..., Any],
) -> None:
    run = run_dag("null")

    assert run["tasks"]["plan"] == {"state": "failed", "tries": 1}
    assert run["tasks"]["summary"]["state"] == "failed"
    assert "expected at least one of them in a run without a data interval" in run["log"]


def test_run_of_days_without_a_checkpoint_is_skipped_as_a_whole(
    run_dag: Callable[..., Any], add_lines: AddLines, tmp_path: Path
) -> None:
    add_lines(str(tmp_path / "catalogue"), DAYS)

    run = run_dag("null", trained_from="2025-03-03", trained_to="2025-03-09")

    assert run["state"] == "success", run["log"][-6000:]
    assert {task["state"] for task in run["tasks"].values()} == {"skipped"}


_PARTITIONED = """
from redraw_airflow import reexport_checkpoints

dag = reexport_checkpoints("by_day", partitioned=True, schedule="30 3 * * *")
"""


def test_run_of_a_partition_exports_the_checkpoints_of_its_day(
    run_interpreter: Python, gcs_server: str, add_lines: AddLines, bucket: str, tmp_path: Path
) -> None:
    add_lines(str(tmp_path / "catalogue"), DAYS)
    (tmp_path / "by_day.py").write_text(_PARTITIONED)
    conf = json.dumps({"model": MODEL, "bucket": bucket, "catalogue": str(tmp_path / "catalogue")})
    folders = [ROOT / "tasks", ROOT / "plugins", ROOT / "tests", ROOT]

    run = run_interpreter(
        tmp_path / "answer.json",
        "run_dag",
        "by_day",
        "null",
        conf,
        "2025-03-02",
        AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path),
        REDRAW_WORK=str(tmp_path / "work"),
        REDRAW_MODELS="sample_models",
        PYTHONPATH=os.pathsep.join(map(os.fspath, folders)),
        STORAGE_EMULATOR_HOST=gcs_server,
    )

    assert run["state"] == "success", run["log"][-6000:]
    assert rows(run["xcoms"]["summary.summary"]) == [(20, "exported"), (30, "exported")]


def test_partitioned_dag_has_a_partition_for_each_day_and_takes_the_day_before() -> None:
    from airflow.serialization.encoders import coerce_to_core_timetable

    made = reexport_checkpoints("by_day", partitioned=True, schedule="30 3 * * *", model="mnist")
    timetable = coerce_to_core_timetable(made.timetable)
    days = timetable.iter_partition_dagrun_infos(
        earliest=datetime(2024, 2, 28, tzinfo=UTC), latest=datetime(2024, 3, 2, tzinfo=UTC)
    )
    assert [info.partition_key for info in days] == ["2024-02-28", "2024-02-29", "2024-03-01"]
    nightly = timetable._get_partition_info(pendulum.datetime(2024, 3, 1, 3, 30))
    assert nightly[1] == "2024-02-29"
    for schedule in ("0 3 * * MON", "0 */6 * * *", "@daily", None):
        with pytest.raises(InvalidRequest, match="schedule: expected one run a day"):
            reexport_checkpoints("by_day", partitioned=True, schedule=schedule, model="mnist")
