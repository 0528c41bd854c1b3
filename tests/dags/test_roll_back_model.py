from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redraw.publish.live.set_live import change_live
from redraw.publish.push.push import push_model
from redraw.records import ExportedModel, ValidationReport
from redraw.requests import LiveRequest, PushRequest
from tests.publishing.webhook_server import SECRET, run_webhook_server

Python = Callable[..., Any]


def _publish(bucket: str, exported: ExportedModel, trained_at: str) -> int:
    """Publish an export as if its weights were trained at another time, and make it live."""
    export = replace(exported, checkpoint=replace(exported.checkpoint, trained_at=trained_at))
    report = ValidationReport(
        model="mnist", digest=export.digest, checks=(), passed=True, validated_at=trained_at
    )
    request = PushRequest(model="mnist", saved_model=export, report=report, bucket=bucket, make_live=True)
    return push_model(request).version


def test_run_without_a_version_goes_back_to_the_one_before(
    python: Python, gcs_server: str, bucket: str, mnist_export: ExportedModel
) -> None:
    older = _publish(bucket, mnist_export, "2026-01-01T00:00:00Z")
    newer = _publish(bucket, mnist_export, "2026-02-01T00:00:00Z")
    conf = {"model": "mnist", "bucket": bucket, "reason": "wrong digits"}

    with run_webhook_server() as server:
        webhook = {"conn_type": "http", "host": f"{server.url}/500/private-path", "password": SECRET}
        run = python(
            "run_dag",
            "roll_back_model",
            "null",
            json.dumps(conf),
            STORAGE_EMULATOR_HOST=gcs_server,
            AIRFLOW_CONN_DEPLOY=json.dumps(webhook),
            REDRAW_WEBHOOKS="deploy",
        )

    assert run["tasks"] == {"roll_back": {"state": "success", "tries": 1}}, run["log"][-6000:]
    pointer = change_live(LiveRequest(model="mnist", bucket=bucket))
    printed = run["xcoms"]["roll_back.return_value"]
    (event,) = printed.pop("events")
    assert printed == json.loads(json.dumps(pointer.to_json()))
    assert (pointer.version, pointer.previous) == (older, newer)
    change = pointer.history[-1]
    assert (change.kind, change.reason, change.by) == ("rollback", "wrong digits", "dag_test")

    # The asset of the model and the webhook get the same, and a webhook that fails fails nothing.
    extra = {
        "kind": "rollback",
        "model": "mnist",
        "version": older,
        "uri": f"{bucket}/mnist/{older}",
        "by": "dag_test",
        "reason": "wrong digits",
        "label": "",
        "digest": mnist_export.digest,
        "metrics": mnist_export.checkpoint.metrics,
        "at": change.changed_at,
        "id": event["id"],
        "undelivered": ["webhook deploy (127.0.0.1): expected status 2xx, got 500"],
    }
    assert run["events"] == [{"asset": f"{bucket}/mnist", "extra": extra}]
    assert [request.headers["webhook-id"] for request in server.received] == [event["id"]] * 3
    assert all(request.is_signed() for request in server.received)
    assert "webhook deploy (127.0.0.1): expected status 2xx, got 500; not delivered" in run["log"]
    assert "private-path" not in run["log"]
    assert SECRET not in run["log"]


_NOTIFIED = """
from redraw_airflow import RedrawNotifier, roll_back_model

notify = RedrawNotifier(webhook="chat")
dag = roll_back_model("notified", default_args={"on_failure_callback": notify, "on_success_callback": notify})
"""


def test_run_with_a_notifier_sends_what_it_changed_and_why_the_next_one_failed(
    run_interpreter: Python, gcs_server: str, bucket: str, mnist_export: ExportedModel, tmp_path: Path
) -> None:
    older = _publish(bucket, mnist_export, "2026-01-01T00:00:00Z")
    newer = _publish(bucket, mnist_export, "2026-02-01T00:00:00Z")
    (tmp_path / "notified.py").write_text(_NOTIFIED)
    conf = json.dumps({"model": "mnist", "bucket": bucket, "reason": "wrong digits"})

    with run_webhook_server() as server:
        variables = {
            "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
            "STORAGE_EMULATOR_HOST": gcs_server,
            "REDRAW_WEBHOOK_CHAT_URL": f"{server.url}/ok",
        }
        for _ in range(2):
            run_interpreter(tmp_path / "answer.json", "run_dag", "notified", "null", conf, **variables)

    texts = [json.loads(request.body)["text"] for request in server.received]
    assert texts[0] == f"mnist {older}: rollback by dag_test: wrong digits"
    assert texts[1].startswith("notified.roll_back (mnist) failed in ")
    assert f"version {newer} was rejected by a roll-back" in texts[1]


@pytest.mark.parametrize("variables", [{}, {"REDRAW_MODEL_BUCKET": "gs://models"}])
def test_parse_offers_the_model_and_the_version(python: Python, variables: dict[str, str]) -> None:
    parsed = python("parse_dags", **variables)

    assert parsed["import_errors"] == {}
    dag = parsed["dags"]["roll_back_model"]
    form = {name: param["schema"]["__var"] | {"default": param["default"]} for name, param in dag["params"]}
    assert list(form) == ["model", "version", "reason", "allow_older", "allow_rejected", "bucket"]
    assert "mnist" in form["model"]["examples"]
    assert [form[name]["default"]["__type"] for name in ("model", "reason")] == ["arg_not_set"] * 2
    assert form["bucket"]["default"] == variables.get("REDRAW_MODEL_BUCKET")
    (task,) = dag["tasks"]
    assert task["__var"].get("retries", 0) == 0
