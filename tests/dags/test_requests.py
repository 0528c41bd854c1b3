"""What a run may ask for, of each DAG, and that nothing starts of what it may not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from redraw.storage.opening import open_storage

Python = Callable[..., Any]

DAGS: dict[str, tuple[str, dict[str, object]]] = {
    "retrain_and_export": ("train", {"model": "mnist"}),
    "reexport_checkpoints": ("plan", {"model": "mnist", "steps": [1]}),
    "roll_back_model": ("roll_back", {"model": "mnist", "reason": "a"}),
    "mark_version": ("mark", {"model": "mnist", "version": 1, "reason": "a"}),
    "validate_and_publish": ("validate", {"model": "mnist", "saved_model": "a"}),
    "prune_versions": ("prune", {"model": "mnist"}),
}


@pytest.mark.parametrize("dag_id", DAGS)
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"buckte": "gs://a", "approved_by": "me"}, "conf: expected fields of the form"),
        ({"bucket": "gs://somewhere-else"}, "bucket: expected a path in gs://"),
    ],
    ids=["unknown field", "other bucket"],
)
def test_run_that_asks_for_what_it_may_not_starts_nothing(
    dag_id: str,
    asked: dict[str, object],
    message: str,
    python: Python,
    gcs_server: str,
    bucket: str,
    tmp_path: Path,
) -> None:
    task, conf = DAGS[dag_id]

    run = python(
        "run_dag",
        dag_id,
        "null",
        json.dumps({**conf, **asked}),
        REDRAW_WORK=str(tmp_path / "work"),
        REDRAW_CHECKPOINTS=str(tmp_path / "catalogue"),
        REDRAW_MODEL_BUCKET=bucket,
        STORAGE_EMULATOR_HOST=gcs_server,
    )

    assert run["state"] == "failed"
    assert run["tasks"].pop(task) == {"state": "failed", "tries": 1}
    assert {state["state"] for state in run["tasks"].values()} <= {"upstream_failed", "failed", None}
    assert message in run["log"]
    assert not (tmp_path / "work").exists()
    assert open_storage(bucket).list() == []
