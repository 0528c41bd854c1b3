"""A real Airflow API server with the pages, next to a bucket of what is published."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from redraw.records import Check, LivePointer, PointerChange
from redraw.storage.opening import open_storage
from tests.redraw_airflow.web.failed_runs import failed_runs, training_runs
from tests.redraw_airflow.web.malformed import malformed_runs
from tests.redraw_airflow.web.page_server import Pages, run_pages
from tests.redraw_airflow.web.publications import (
    EXPORTED,
    HOSTILE,
    checkpoint_record,
    compared,
    hostile_release,
    pointer_record,
    publish,
    release_record,
    report_record,
    rollout_record,
    version_of,
)

VERSIONS = 60


def _history() -> tuple[PointerChange, ...]:
    changes = [
        PointerChange(
            version=version_of(day), changed_at=f"2026-02-{day:02d}T00:00:00Z", by="ada", reason="run"
        )
        for day in range(1, 15)
    ]
    change_with_reason = PointerChange(
        version=version_of(14),
        changed_at="2026-02-15T00:00:00Z",
        by="bea",
        kind="rollback",
        reason="wrong digits",
    )
    return (*changes, change_with_reason)


def _runs() -> list[dict[str, Any]]:
    """The runs that Airflow knows of, and what their tasks have left."""
    failing = Check(
        name="finite-weights",
        status="failed",
        looked_at="the weights",
        expected="finite",
        found="NaN in dense/kernel",
        advice="Train again.",
    )
    records = {
        "checkpoint": checkpoint_record("mnist"),
        "export": EXPORTED,
        "validate": report_record("mnist", failing),
        "push": release_record("mnist"),
        "confirm_rollout": rollout_record(release_record("mnist")),
    }
    rows = [
        {
            "uri": f"gs://checkpoints/mnist/{step}",
            "outcome": outcome,
            "seconds": 0.5,
            "step": step,
            "trained_at": "2026-01-01T00:00:00Z",
            "version": version,
            "digest": None,
            "reason": reason,
        }
        for step, outcome, version, reason in (
            (1, "exported", version_of(0), ""),
            (2, "already there", version_of(1), ""),
            (3, "failed", None, "gs://checkpoints/mnist/3: a part is missing"),
        )
    ]
    report = {"record": "ReexportReport", "model": "mnist", "bucket": "", "checkpoints": rows, "seconds": 1.5}
    hostile = hostile_release("mnist", 3)
    publishing = {"dag_id": "retrain_and_export", "state": "success"}
    return [
        {**publishing, "run_id": "silent", "tasks": _returned(records)},
        {**publishing, "run_id": "named", "state": "failed", "conf": {"model": "recommender"}},
        {
            "dag_id": "reexport_checkpoints",
            "run_id": "backfill",
            "state": "failed",
            "tasks": [
                {"task_id": "reexport", "map_index": 0, "state": "failed", "xcoms": {"report": report}},
                {"task_id": "summary", "state": "failed", "xcoms": {"summary": report}},
            ],
        },
        {
            "dag_id": "of_others",
            "run_id": "theirs",
            "state": "success",
            "tasks": [
                {
                    "task_id": "count",
                    "state": "success",
                    "xcoms": {"return_value": {"record": "Unheard", "n": 1}},
                },
                {"task_id": "speak", "state": "success", "xcoms": {"return_value": "words"}},
            ],
        },
        {
            "dag_id": "of_others",
            "run_id": "compared",
            "state": "success",
            "tasks": _returned({"compare": compared(version_of(0))}),
        },
        {
            "dag_id": "of_others",
            "run_id": "hostile",
            "state": "success",
            "tasks": [
                {"task_id": "push", "state": "success", "xcoms": {"return_value": hostile.to_json()}},
                {
                    "task_id": "validate",
                    "state": "success",
                    "xcoms": {"return_value": hostile.report.to_json()},
                },
                {
                    "task_id": "reexport",
                    "map_index": 0,
                    "state": "failed",
                    "xcoms": {"report": _hostile_batch()},
                },
                {
                    "task_id": "older",
                    "state": "success",
                    "xcoms": {"return_value": {"record": "Release", HOSTILE[0]: HOSTILE[1]}},
                },
            ],
        },
    ]


def _hostile_batch() -> dict[str, Any]:
    """A batch whose every row says something hostile wherever it may say anything."""
    row = {"seconds": 0.5, "step": None, "trained_at": None, "version": None, "digest": None}
    rows = [
        {**row, "uri": text, "outcome": outcome, "reason": reason}
        for text in HOSTILE
        for outcome, reason in (("failed", text), ("exported", ""))
    ]
    return {"record": "ReexportReport", "model": "mnist", "bucket": HOSTILE[1], "checkpoints": rows,
            "seconds": 1.5}  # fmt: skip


def _returned(records: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "task_id": task_id,
            "state": "success",
            "xcoms": {"return_value": record.to_json(), "_link_ReleaseLink": "http://127.0.0.1/record"},
        }
        for task_id, record in records.items()
    ]


@pytest.fixture(scope="session")
def model_bucket(new_bucket: Callable[[], str]) -> str:
    """A bucket with 60 versions of mnist, one of text_classifier that is hostile, and none of the others."""
    bucket = new_bucket()
    storage = open_storage(bucket)
    publish(
        storage,
        [release_record("mnist", day) for day in range(VERSIONS)],
        pointer_record("mnist", 14, *_history()),
    )
    hostile = PointerChange(
        version=version_of(0),
        changed_at=HOSTILE[0],
        by=HOSTILE[1],
        reason=HOSTILE[0],
        label=HOSTILE[2],
        kind="label",
    )
    pointer = LivePointer(
        model="text_classifier",
        version=version_of(0),
        previous=None,
        labels=dict.fromkeys(HOSTILE, version_of(0)),
        pinned={str(version_of(0)): HOSTILE[1]},
        history=(hostile,),
    )
    publish(storage, [hostile_release("text_classifier", 0)], pointer)
    return bucket


@pytest.fixture(scope="session")
def catalogue(new_bucket: Callable[[], str]) -> str:
    """A catalogue with two checkpoints of mnist, and the files of one that has no record."""
    bucket = new_bucket()
    storage = open_storage(bucket)
    for name in ("1-aa/weights.index", "1-aa/record.json", "2-bb/record.json", "3-cc/weights.index"):
        storage.create(f"mnist/{name}", b"{}")
    return bucket


@pytest.fixture(scope="session")
def pages(
    gcs_server: str, model_bucket: str, catalogue: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pages]:
    """A server of this session; it has no credentials but those of Airflow's connection."""
    connection = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True}}
    variables = {
        "AIRFLOW_CONN_SHELF": json.dumps(connection),
        "REDRAW_WEB_CONNECTION": "shelf",
        "STORAGE_EMULATOR_HOST": gcs_server,
        "REDRAW_MODEL_BUCKET": model_bucket,
        "REDRAW_CHECKPOINTS": catalogue,
    }
    work = tmp_path_factory.mktemp("work")
    variables["REDRAW_WORK"] = str(work)
    variables["REDRAW_TENSORBOARD"] = "https://board.example/?run={run}"
    runs = [*failed_runs(work), *training_runs(), *_runs(), *malformed_runs()]
    with run_pages(tmp_path_factory.mktemp("airflow-web"), variables, runs) as running:
        yield running


@pytest.fixture
def viewer(pages: Pages) -> Iterator[httpx.Client]:
    """A browser of a user who may read and no more."""
    with pages.client("viewer") as client:
        yield client


@pytest.fixture
def publisher(pages: Pages) -> Iterator[httpx.Client]:
    """A browser of a user who may start the DAGs that publish."""
    with pages.client("admin") as client:
        yield client
